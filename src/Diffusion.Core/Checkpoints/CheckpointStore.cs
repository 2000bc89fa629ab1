using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The checkpoints of one run: folders <c>step-00001000</c>, and a file <c>latest</c> with the name of the newest. One trainer at a time
/// writes to the folder: <see cref="Trainer{TBatch}.Fit"/> claims it. Each contains <c>model.safetensors</c> and
/// <c>ema.safetensors</c> (weights and averaged weights, under the names in
/// the state of the network), <c>optimizer.safetensors</c>, and <c>trainer.json</c> with the SHA-256 of the other files.
/// </summary>
/// <remarks>
/// <para>When a run is resumed from an earlier checkpoint and saves again, the checkpoints of later steps are renamed to
/// <c>abandoned-00001000</c>. They are neither listed, resumed from nor removed. To resume from an earlier checkpoint, write its name into
/// <c>latest</c>. A file or folder with the name of a checkpoint that is none is renamed to <c>foreign-00001000</c>.</para>
/// <para>To load the averaged weights of a run into a network of the same architecture:
/// <c>ModuleWeights.Load(unet, Path.Combine(CheckpointStore.Latest("run")!, "ema.safetensors"))</c>.</para>
/// </remarks>
public sealed class CheckpointStore
{
    private const string AbandonedPrefix = "abandoned-";
    private const string ForeignPrefix = "foreign-";

    private readonly CheckpointRetention _retention;
    private readonly ILogger _logger;
    private RunClaim? _claim;

    /// <summary>Initializes a new instance for a folder. Writes nothing.</summary>
    /// <param name="folder">The folder of the run.</param>
    /// <param name="retention">Determines which checkpoints are kept.</param>
    /// <param name="logger">Receives a description of each file operation before it is carried out.</param>
    internal CheckpointStore(string folder, CheckpointRetention retention, ILogger logger)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        (_retention, _logger) = (Guard.NotNull(retention), logger);
        Folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
    }

    /// <summary>The folder of the run, as a full path.</summary>
    internal string Folder { get; }

    /// <summary>Returns the checkpoints in a folder, oldest first. Empty if the folder does not exist.</summary>
    public static IReadOnlyList<string> List(string folder) => [.. RunFolder.Checkpoints(folder).Select(checkpoint => checkpoint.Path)];

    /// <summary>
    /// Returns the folder of the newest checkpoint in the folder of a run; <see langword="null"/> if there is none. It is the checkpoint
    /// that <c>latest</c> names, or the one with the greatest step if that file or checkpoint is missing. An incomplete checkpoint is never
    /// returned. The folder may belong to a run that is in progress.
    /// </summary>
    public static string? Latest(string folder) => RunFolder.Latest(folder);

    /// <summary>Returns the step in the name of a folder; <see langword="null"/> if it is not the folder of a checkpoint.</summary>
    internal static long? StepOf(string path) => RunFolder.StepOf(path);

    /// <summary>Returns the newest checkpoint and those of earlier steps, newest first.</summary>
    internal static IReadOnlyList<CheckpointInfo> NewestFirst(string folder) => Infos(RunFolder.NewestFirst(folder));

    /// <summary>
    /// Creates the folder if it does not exist, claims it for this trainer until the result is disposed, and removes the temporary folders
    /// of a terminated process. Does nothing if this trainer has claimed it already.
    /// </summary>
    /// <exception cref="RunInUseException">Another trainer has claimed the folder.</exception>
    /// <exception cref="CheckpointException">The folder cannot be created or written to.</exception>
    internal IDisposable? Claim()
    {
        if (_claim is not null)
            return null;
        try
        {
            Directory.CreateDirectory(Folder);
            _claim = RunClaim.Take(Folder);
            ClearLeftovers();
            return new Release(this);
        }
        catch (Exception e) when (e is not RunInUseException && e is IOException or UnauthorizedAccessException)
        {
            EndClaim();
            throw new CheckpointException(Folder, $"cannot be written to: {e.Message}", e);
        }
    }

    /// <summary>Writes the checkpoint of a step to the claimed folder, then removes those that the retention does not keep.</summary>
    /// <returns>The folder of the checkpoint.</returns>
    internal string Write(CheckpointManifest manifest, IReadOnlyDictionary<string, Dictionary<string, Tensor>> tensors)
    {
        var path = Path.Combine(Folder, RunFolder.NameOf(manifest.Step));

        // The previous save may have been interrupted after it wrote the checkpoint.
        Abandon();
        SetAside(path);

        // The pointer is written before the checkpoint is renamed. After an interruption between the two it names no checkpoint, and Latest
        // returns the one with the greatest step.
        Checkpoint.Write(path, manifest, tensors, () => Point(manifest.Step), Trace);
        Abandon();
        var all = Infos(RunFolder.Checkpoints(Folder));
        var kept = _retention.Keep(all).Select(entry => entry.Path).Append(path).ToHashSet(StringComparer.Ordinal);
        foreach (var old in all.Where(entry => !kept.Contains(entry.Path)))
            Remove(old.Path);
        return path;
    }

    private static CheckpointInfo[] Infos(IReadOnlyList<(string Path, long Step)> checkpoints)
        => [.. checkpoints.Select(checkpoint => new CheckpointInfo(checkpoint.Path, checkpoint.Step))];

    private void Remove(string old)
    {
        try
        {
            Checkpoint.Delete(old, Trace);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(old, $"is no longer needed, and cannot be removed: {e.Message}", e);
        }
    }

    /// <summary>Renames the checkpoints of later steps than the newest one, so that they no longer belong to the run.</summary>
    private void Abandon()
    {
        var newest = Latest(Folder);
        foreach (var entry in RunFolder.Checkpoints(Folder).SkipWhile(entry => entry.Path != newest).Skip(1))
        {
            var left = Path.Combine(Folder, string.Create(CultureInfo.InvariantCulture, $"{AbandonedPrefix}{entry.Step:D8}"));
            if (Directory.Exists(left))
                Remove(left);
            Trace($"rename {entry.Path} to {left}");
            Directory.Move(entry.Path, left);
        }
    }

    private void Point(long step)
    {
        Trace($"write {RunFolder.PointerFile}");
        var path = Path.Combine(Folder, RunFolder.PointerFile);
        AtomicFile.Write(path, stream => stream.Write(Encoding.ASCII.GetBytes(RunFolder.NameOf(step) + "\n")));
        FolderEntries.Flush(Folder);
    }

    /// <summary>Renames a file or folder in the place of a checkpoint that is neither a checkpoint nor empty.</summary>
    private void SetAside(string path)
    {
        var isForeign = File.Exists(path)
            || (Directory.Exists(path) && !Checkpoint.IsCheckpoint(path) && Directory.EnumerateFileSystemEntries(path).Any());
        if (!isForeign)
            return;
        var step = RunFolder.StepOf(path)!.Value;
        string left;
        var copy = 1;
        do
        {
            left = Path.Combine(
                Folder, string.Create(CultureInfo.InvariantCulture, $"{ForeignPrefix}{step:D8}") + (copy == 1 ? "" : $"-{copy}"));
            copy++;
        }
        while (Path.Exists(left));
        TrainerLog.ForeignFolder(_logger, path, left);
        Directory.Move(path, left);
    }

    private void ClearLeftovers()
    {
        var owners = Directory.GetDirectories(Folder, ".*").Select(Checkpoint.OwnerOf).OfType<string>().Distinct();
        foreach (var owner in owners.Where(path => RunFolder.StepOf(path) is not null || IsAbandoned(path)))
            Checkpoint.Recover(owner);
        foreach (var file in Directory.GetFiles(Folder, $".{RunFolder.PointerFile}.*.tmp"))
            File.Delete(file);

        static bool IsAbandoned(string path) => RunFolder.NumberAfter(AbandonedPrefix, Path.GetFileName(path)) is not null;
    }

    private void Trace(string operation) => TrainerLog.FileOperation(_logger, operation);

    private void EndClaim()
    {
        _claim?.Dispose();
        _claim = null;
    }

    private sealed class Release(CheckpointStore store) : IDisposable
    {
        public void Dispose() => store.EndClaim();
    }
}
