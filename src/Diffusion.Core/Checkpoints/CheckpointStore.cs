using System.Globalization;
using System.Text;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The checkpoints of one run: folders <c>step-00001000</c> in a folder that only one trainer writes to, and a file <c>latest</c> with the
/// name of the newest. Each contains <c>model.safetensors</c> and <c>ema.safetensors</c> (weights and averaged weights, under the names in
/// the state of the network), <c>optimizer.safetensors</c>, and <c>trainer.json</c> with the SHA-256 of the other files.
/// </summary>
/// <remarks>
/// <para>When a run is resumed from an earlier checkpoint and saves again, the checkpoints of later steps are renamed to
/// <c>abandoned-00001000</c>. They are neither listed, resumed from nor removed. To resume from an earlier checkpoint, write its name into
/// <c>latest</c>.</para>
/// <para>To load the averaged weights of a run into a network of the same architecture:
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

    /// <summary>Initializes a new instance of the <see cref="CheckpointStore"/> class that keeps the newest checkpoints.</summary>
    /// <param name="folder">The folder of the run.</param>
    /// <param name="keep">The number of checkpoints to keep, at least 1. The default is 3.</param>
    /// <exception cref="CheckpointException">The folder cannot be created or written to.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="keep"/> is less than 1.</exception>
    public CheckpointStore(string folder, int keep = 3)
        : this(folder, CheckpointRetention.Last(keep))
    {
    }

    /// <summary>
    /// Initializes a new instance of the <see cref="CheckpointStore"/> class. Creates the folder if it does not exist, tests whether it can
    /// be written to, and removes the temporary folders of a terminated process.
    /// </summary>
    /// <param name="folder">The folder of the run.</param>
    /// <param name="retention">Determines which checkpoints are kept.</param>
    /// <param name="trace">Receives a description of each file operation before it is carried out; or <see langword="null"/>.</param>
    /// <exception cref="CheckpointException">The folder cannot be created or written to.</exception>
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

    /// <summary>Returns the checkpoints in a folder, oldest first. Empty if the folder does not exist.</summary>
    public static IReadOnlyList<string> List(string folder) => [.. Entries(folder).Select(entry => entry.Path)];

    /// <summary>
    /// Returns the folder of the newest checkpoint in the folder of a run; <see langword="null"/> if there is none. It is the checkpoint
    /// that <c>latest</c> names, or the one with the greatest step if that file or checkpoint is missing. An incomplete checkpoint is never
    /// returned.
    /// </summary>
    public static string? Latest(string folder) => NewestFirst(folder) is [var newest, ..] ? newest.Path : null;

    /// <summary>Returns the step in the name of a folder; <see langword="null"/> if it is not the folder of a checkpoint.</summary>
    internal static long? StepOf(string path) => NumberAfter(Prefix, path);

    /// <summary>Returns the newest checkpoint and those of earlier steps, newest first.</summary>
    internal static IReadOnlyList<CheckpointInfo> NewestFirst(string folder)
    {
        var entries = Entries(folder);
        var named = Pointed(folder);
        var newest = entries.FirstOrDefault(entry => Path.GetFileName(entry.Path) == named) ?? entries.LastOrDefault();
        return [.. entries.Where(entry => entry.Step <= newest!.Step).Reverse()];
    }

    /// <summary>Writes the checkpoint of a step, then removes those that the retention does not keep.</summary>
    /// <returns>The folder of the checkpoint.</returns>
    internal string Write(CheckpointManifest manifest, IReadOnlyDictionary<string, Dictionary<string, Tensor>> tensors)
    {
        var path = Path.Combine(Folder, NameOf(Prefix, manifest.Step));

        // The previous save may have been interrupted after it wrote the checkpoint.
        Abandon();

        // The pointer is written before the checkpoint is renamed. After an interruption between the two it names no checkpoint, and Latest
        // returns the one with the greatest step.
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

    /// <summary>Renames the checkpoints of later steps than the newest one, so that they no longer belong to the run.</summary>
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
