using System.Globalization;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The checkpoints of one run: folders <c>step-00001000</c> in a folder that only one trainer writes to. Each holds
/// <c>model.safetensors</c> and <c>ema.safetensors</c> (weights and averaged weights, under the network's own names),
/// <c>optimizer.safetensors</c>, and <c>trainer.json</c> with the SHA-256 of the others.
/// </summary>
/// <remarks>
/// The averaged weights of a run, in a network of the same architecture:
/// <c>ModuleWeights.Load(unet, Path.Combine(CheckpointStore.Latest("run")!, "ema.safetensors"))</c>.
/// </remarks>
public sealed class CheckpointStore
{
    private const string Prefix = "step-";

    private readonly int _keep;

    /// <summary>Opens a folder for writing, makes it if it is not there, and tries whether it can be written to.</summary>
    /// <param name="folder">The folder of the run.</param>
    /// <param name="keep">How many of the newest checkpoints are kept, at least 1.</param>
    /// <exception cref="CheckpointException">The folder cannot be made or written to.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="keep"/> is less than 1.</exception>
    public CheckpointStore(string folder, int keep = 3)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        _keep = Guard.InRange(keep, 1, int.MaxValue);
        Folder = Path.GetFullPath(folder);
        try
        {
            Directory.CreateDirectory(Folder);
            var probe = Path.Combine(Folder, $".{Guid.NewGuid():N}.probe");
            File.WriteAllBytes(probe, [0]);
            File.Delete(probe);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(Folder, $"cannot be written to: {e.Message}", e);
        }
    }

    /// <summary>The folder of the run, as a full path.</summary>
    public string Folder { get; }

    /// <summary>The checkpoints in a folder, oldest first; none where there is no such folder.</summary>
    public static IReadOnlyList<string> List(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        if (!Directory.Exists(folder))
            return [];
        return
        [
            .. Directory.EnumerateDirectories(folder, Prefix + "*")
                .Select(path => (Path: path, Step: StepOf(path)))
                .Where(entry => entry.Step >= 0 && Checkpoint.IsCheckpoint(entry.Path))
                .OrderBy(entry => entry.Step)
                .Select(entry => entry.Path),
        ];
    }

    /// <summary>The newest checkpoint in a folder, or null where there is none. A save that was cut short is never found.</summary>
    public static string? Latest(string folder) => List(folder) is [.., var newest] ? newest : null;

    /// <summary>Writes the checkpoint of a step, then removes the oldest beyond those to keep.</summary>
    /// <returns>Its folder.</returns>
    internal string Write(CheckpointManifest manifest, IReadOnlyDictionary<string, Dictionary<string, Tensor>> tensors)
    {
        var path = Path.Combine(Folder, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{manifest.Step:D8}"));
        Checkpoint.Write(path, manifest, tensors);
        foreach (var old in List(Folder).SkipLast(_keep).Where(old => old != path))
            Checkpoint.Delete(old);
        return path;
    }

    private static long StepOf(string path)
        => long.TryParse(Path.GetFileName(path).AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var step)
            ? step
            : -1;
}
