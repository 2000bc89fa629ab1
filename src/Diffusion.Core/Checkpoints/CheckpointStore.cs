using System.Globalization;
using System.Text;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The checkpoints of one run: folders <c>step-00001000</c> in a folder that only one trainer writes to, and a file <c>latest</c> that
/// names the newest. Each holds <c>model.safetensors</c> and <c>ema.safetensors</c> (weights and averaged weights, under the network's own
/// names), <c>optimizer.safetensors</c>, and <c>trainer.json</c> with the SHA-256 of the others.
/// </summary>
/// <remarks>
/// <para>A run that went back to an earlier checkpoint and saves again leaves those of later steps behind: they are renamed to
/// <c>abandoned-00001000</c>, and neither listed, resumed from nor removed. To go back by hand, write the name of a checkpoint into
/// <c>latest</c>.</para>
/// <para>The averaged weights of a run, in a network of the same architecture:
/// <c>ModuleWeights.Load(unet, Path.Combine(CheckpointStore.Latest("run")!, "ema.safetensors"))</c>.</para>
/// </remarks>
public sealed class CheckpointStore
{
    /// <summary>The file with the name of the newest checkpoint.</summary>
    internal const string PointerFile = "latest";

    private const string Prefix = "step-";
    private const string AbandonedPrefix = "abandoned-";

    private readonly CheckpointRetention _retention;
    private readonly Action<string>? _trace;

    /// <summary>Opens a folder for writing; as the other constructor, with the newest checkpoints kept.</summary>
    /// <param name="folder">The folder of the run.</param>
    /// <param name="keep">How many of the newest checkpoints are kept, at least 1.</param>
    /// <exception cref="CheckpointException">The folder cannot be made or written to.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="keep"/> is less than 1.</exception>
    public CheckpointStore(string folder, int keep = 3)
        : this(folder, CheckpointRetention.Last(keep))
    {
    }

    /// <summary>
    /// Opens a folder for writing, makes it if it is not there, tries whether it can be written to, and clears what a process that was
    /// killed left in it.
    /// </summary>
    /// <param name="folder">The folder of the run.</param>
    /// <param name="retention">Which checkpoints are kept.</param>
    /// <param name="trace">Told what is about to be done to files; null for nobody.</param>
    /// <exception cref="CheckpointException">The folder cannot be made or written to.</exception>
    public CheckpointStore(string folder, CheckpointRetention retention, Action<string>? trace = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        ArgumentNullException.ThrowIfNull(retention);
        (_retention, _trace) = (retention, trace);
        Folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        try
        {
            Directory.CreateDirectory(Folder);
            ClearLeftovers();
            using var probe = new AtomicFile(PointerPath(Folder));
            probe.Stream.WriteByte(0);
            probe.Stream.Flush();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(Folder, $"cannot be written to: {e.Message}", e);
        }
    }

    /// <summary>The folder of the run, as a full path.</summary>
    public string Folder { get; }

    /// <summary>The checkpoints in a folder, oldest first; none where there is no such folder.</summary>
    public static IReadOnlyList<string> List(string folder) => [.. Entries(folder).Select(entry => entry.Path)];

    /// <summary>
    /// The newest checkpoint in a folder, or null where there is none: the one that <c>latest</c> names, or where that is missing or names
    /// none, the one of the last step. A save that was cut short is never found.
    /// </summary>
    public static string? Latest(string folder) => NewestFirst(folder) is [var newest, ..] ? newest.Path : null;

    /// <summary>The step that a folder is named for; null for another folder.</summary>
    internal static long? StepOf(string path) => NumberAfter(Prefix, path);

    /// <summary>The newest checkpoint and those before it.</summary>
    internal static IReadOnlyList<CheckpointInfo> NewestFirst(string folder)
    {
        var entries = Entries(folder);
        var named = Pointed(folder);
        var newest = entries.FirstOrDefault(entry => Path.GetFileName(entry.Path) == named) ?? entries.LastOrDefault();
        return [.. entries.Where(entry => entry.Step <= newest!.Step).Reverse()];
    }

    /// <summary>Writes the checkpoint of a step, then removes those that are not to be kept.</summary>
    /// <returns>Its folder.</returns>
    internal string Write(CheckpointManifest manifest, IReadOnlyDictionary<string, Dictionary<string, Tensor>> tensors)
    {
        var path = Path.Combine(Folder, NameOf(Prefix, manifest.Step));

        // Cut short after the last time.
        Abandon();

        // The pointer comes before the checkpoint has its name: cut short between the two, it names none, and the last step counts.
        Checkpoint.Write(path, manifest, tensors, () => Point(manifest.Step), _trace);
        Abandon();
        var all = Entries(Folder);
        var kept = _retention.Keep(all).Select(entry => entry.Path).Append(path).ToHashSet(StringComparer.Ordinal);
        foreach (var old in all.Where(entry => !kept.Contains(entry.Path)))
            Remove(old.Path);
        return path;
    }

    private static CheckpointInfo[] Entries(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        if (!Directory.Exists(folder))
            return [];
        return
        [
            .. Directory.EnumerateDirectories(folder, Prefix + "*")
                .Where(path => StepOf(path) is not null && Checkpoint.IsCheckpoint(path))
                .Select(path => new CheckpointInfo(path, StepOf(path)!.Value))
                .OrderBy(entry => entry.Step),
        ];
    }

    private static string? Pointed(string folder)
    {
        try
        {
            return File.ReadAllText(PointerPath(folder)).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static long? NumberAfter(string prefix, string path)
    {
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(path));
        return name.StartsWith(prefix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : null;
    }

    private static string PointerPath(string folder) => Path.Combine(folder, PointerFile);

    private static string NameOf(string prefix, long step) => string.Create(CultureInfo.InvariantCulture, $"{prefix}{step:D8}");

    private void Remove(string old)
    {
        try
        {
            Checkpoint.Delete(old, _trace);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(old, $"is not to be kept, and cannot be removed: {e.Message}", e);
        }
    }

    /// <summary>Takes the checkpoints of later steps than the newest out of the run.</summary>
    private void Abandon()
    {
        foreach (var entry in Entries(Folder).SkipWhile(entry => entry.Path != Latest(Folder)).Skip(1))
        {
            var left = Path.Combine(Folder, NameOf(AbandonedPrefix, entry.Step));
            if (Directory.Exists(left))
                Remove(left);
            _trace?.Invoke($"rename {entry.Path} to {left}");
            Directory.Move(entry.Path, left);
        }
    }

    private void Point(long step)
    {
        _trace?.Invoke($"write {PointerFile}");
        AtomicFile.Write(PointerPath(Folder), stream => stream.Write(Encoding.ASCII.GetBytes(NameOf(Prefix, step) + "\n")));
        FolderEntries.Flush(Folder);
    }

    private void ClearLeftovers()
    {
        var owners = Directory.GetDirectories(Folder, ".*").Select(Checkpoint.OwnerOf).OfType<string>().Distinct();
        foreach (var owner in owners.Where(path => (NumberAfter(Prefix, path) ?? NumberAfter(AbandonedPrefix, path)) is not null))
            Checkpoint.Recover(owner);
        foreach (var file in Directory.GetFiles(Folder, $".{PointerFile}.*.tmp"))
            File.Delete(file);
    }
}
