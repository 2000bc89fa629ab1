using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Reads and writes one checkpoint: a folder with safetensors files, trainer.json, which lists them with their SHA-256, and a file with the
/// SHA-256 of trainer.json. A checkpoint is written to a temporary folder in the same parent folder, flushed to disk, and renamed, so that
/// a folder with the final name is always complete.
/// </summary>
internal static class Checkpoint
{
    /// <summary>The weights and buffers, under the names in the state of the module.</summary>
    public const string ModelFile = "model.safetensors";

    /// <summary>The averaged weights, under the same names, so that they can be loaded into the network in the same way.</summary>
    public const string AverageFile = "ema.safetensors";

    /// <summary>The state of the optimizer.</summary>
    public const string OptimizerFile = "optimizer.safetensors";

    /// <summary>The state of an adaptive timestep sampler. Written only if the run has one.</summary>
    public const string TimestepsFile = "timesteps.safetensors";

    /// <summary>The manifest, which lists all other files.</summary>
    public const string ManifestFile = RunFolder.ManifestFile;

    /// <summary>The SHA-256 of the manifest, in the format of sha256sum.</summary>
    public const string ChecksumFile = ManifestFile + ".sha256";

    /// <summary>Returns the name of the file that contains an average.</summary>
    public static string AverageFileOf(string name) => name == TrainerOptions.MainEma ? AverageFile : $"{AveragePrefix}{name}{Extension}";

    /// <summary>Returns the name of the average in a file; <see langword="null"/> if the file contains none.</summary>
    public static string? AverageOf(string file) => file == AverageFile
        ? TrainerOptions.MainEma
        : file.StartsWith(AveragePrefix, StringComparison.Ordinal) ? file[AveragePrefix.Length..^Extension.Length] : null;

    private const string AveragePrefix = "ema-";
    private const string Extension = ".safetensors";
    private const string Partial = "partial";
    private const string Replaced = RunFolder.Replaced;
    private const string Deleted = "deleted";

    /// <summary>Returns whether a folder contains a checkpoint, which may be damaged.</summary>
    public static bool IsCheckpoint(string folder) => File.Exists(Path.Combine(folder, ManifestFile));

    /// <summary>Writes a checkpoint, and replaces an existing one.</summary>
    /// <param name="folder">The folder to create. Its parent folder is created if it does not exist.</param>
    /// <param name="manifest">The manifest without the list of files.</param>
    /// <param name="tensors">The tensors of each file, by name.</param>
    /// <param name="beforePlacing">
    /// Called when the checkpoint is on disk but does not have its final name yet; or <see langword="null"/>.
    /// </param>
    /// <param name="trace">Receives a description of each file operation before it is carried out; or <see langword="null"/>.</param>
    /// <exception cref="CheckpointException">The checkpoint cannot be written. An existing checkpoint is unchanged.</exception>
    public static void Write(
        string folder,
        CheckpointManifest manifest,
        IReadOnlyDictionary<string, Dictionary<string, Tensor>> tensors,
        Action? beforePlacing = null,
        Action<string>? trace = null)
    {
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (Directory.Exists(folder) && !IsCheckpoint(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
            throw new CheckpointException(folder, "holds other files and no checkpoint; pass an empty or a new folder.", null);
        var partial = CheckpointFiles.Beside(folder, Partial);
        try
        {
            Recover(folder);
            Stage(partial, manifest, tensors, trace);
            beforePlacing?.Invoke();
            Place(partial, folder, trace);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            CheckpointFiles.TryRemove(partial);
            throw CheckpointFiles.CannotBeWritten(folder, CheckpointFiles.SizeOf(tensors), e);
        }
        catch
        {
            CheckpointFiles.TryRemove(partial);
            throw;
        }
    }

    /// <summary>
    /// Returns the folder in which a checkpoint can be read: the hidden folder to which it was moved if a process ended while it replaced
    /// the checkpoint, otherwise the given one.
    /// </summary>
    public static string Readable(string folder)
    {
        var replaced = CheckpointFiles.Beside(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)), Replaced);
        return !Directory.Exists(folder) && IsCheckpoint(replaced) ? replaced : folder;
    }

    /// <summary>
    /// Removes the temporary folders of a checkpoint that a terminated process did not remove, and restores the checkpoint that it was
    /// replacing.
    /// </summary>
    public static void Recover(string folder)
    {
        var replaced = CheckpointFiles.Beside(folder, Replaced);
        if (Directory.Exists(replaced) && !Directory.Exists(folder))
            Directory.Move(replaced, folder);
        foreach (var kind in (string[])[Partial, Replaced, Deleted])
            CheckpointFiles.Remove(CheckpointFiles.Beside(folder, kind));
    }

    /// <summary>
    /// Returns the folder of the checkpoint that a temporary folder belongs to; <see langword="null"/> if it is not such a folder.
    /// </summary>
    public static string? OwnerOf(string leftover)
    {
        var name = Path.GetFileName(leftover);
        return name.StartsWith('.') && Path.GetExtension(name) is "." + Partial or "." + Replaced or "." + Deleted
            ? Path.Combine(Path.GetDirectoryName(leftover) ?? "", Path.GetFileNameWithoutExtension(name)[1..])
            : null;
    }

    /// <summary>Reads the manifest and verifies the size and the SHA-256 of every file.</summary>
    /// <exception cref="CheckpointException">
    /// A file is missing, truncated, damaged or of another version. The message contains its path.
    /// </exception>
    public static CheckpointManifest Read(string folder)
    {
        var path = Path.Combine(folder, ManifestFile);
        var json = CheckpointFiles.Read(path);
        var expected = Encoding.ASCII.GetString(CheckpointFiles.Read(Path.Combine(folder, ChecksumFile)));
        var actual = $"{Hash(json)}  {ManifestFile}\n";
        if (expected != actual)
            throw new CheckpointException(
                path, Invariant($"is damaged: {ChecksumFile} contains '{expected.Trim()}', the file has '{actual.Trim()}'."), null);
        CheckpointManifest manifest;
        try
        {
            manifest = CheckpointManifest.Parse(json);
        }
        catch (JsonException e)
        {
            throw new CheckpointException(path, $"is not a manifest: {e.Message}", e);
        }

        foreach (var file in manifest.Files)
        {
            var isKnown = file.Name == DiffusionModel.DescriptionFileName || file.Name.EndsWith(Extension, StringComparison.Ordinal);
            if (file.Name != Path.GetFileName(file.Name) || !isKnown)
                throw new CheckpointException(path, Invariant($"must list {Extension} files of its folder, got '{file.Name}'."), null);
            CheckpointFiles.Verify(folder, file);
        }

        return manifest;
    }

    /// <summary>Reads the tensors of one file.</summary>
    /// <returns>The tensors by name, on the CPU. The caller must dispose them.</returns>
    /// <exception cref="CheckpointException">The file cannot be read.</exception>
    public static Dictionary<string, Tensor> ReadTensors(string folder, string name)
    {
        var path = Path.Combine(folder, name);
        return CheckpointFiles.Reading(path, () => Safetensors.Load(path));
    }

    /// <summary>Removes a checkpoint. It is renamed first, so that a partly removed checkpoint is never found.</summary>
    public static void Delete(string folder, Action<string>? trace = null)
    {
        var doomed = CheckpointFiles.Beside(folder, Deleted);
        CheckpointFiles.Remove(doomed);
        trace?.Invoke($"rename {folder} to {doomed}");
        Directory.Move(folder, doomed);
        trace?.Invoke($"remove {doomed}");
        CheckpointFiles.Remove(doomed);
    }

    private static void Stage(
        string partial,
        CheckpointManifest manifest,
        IReadOnlyDictionary<string, Dictionary<string, Tensor>> tensors,
        Action<string>? trace)
    {
        trace?.Invoke($"create {partial}");
        Directory.CreateDirectory(partial);
        foreach (var (name, file) in tensors)
        {
            trace?.Invoke($"write {name}");
            Safetensors.Save(Path.Combine(partial, name), file, new Dictionary<string, string> { ["format"] = "pt" });
        }

        string[] names = [.. tensors.Keys];
        if (manifest.Model is { } model)
        {
            trace?.Invoke($"write {DiffusionModel.DescriptionFileName}");
            CheckpointFiles.WriteFlushed(Path.Combine(partial, DiffusionModel.DescriptionFileName), Encoding.UTF8.GetBytes(model));
            names = [.. names, DiffusionModel.DescriptionFileName];
        }

        var json = (manifest with { Files = [.. names.Select(name => CheckpointFiles.Describe(partial, name))] }).ToJson();
        trace?.Invoke($"write {ManifestFile}");
        CheckpointFiles.WriteFlushed(Path.Combine(partial, ManifestFile), json);
        trace?.Invoke($"write {ChecksumFile}");
        CheckpointFiles.WriteFlushed(Path.Combine(partial, ChecksumFile), Encoding.ASCII.GetBytes($"{Hash(json)}  {ManifestFile}\n"));
        FolderEntries.Flush(partial);
    }

    private static void Place(string partial, string folder, Action<string>? trace)
    {
        var replaced = CheckpointFiles.Beside(folder, Replaced);
        if (Directory.Exists(folder))
        {
            trace?.Invoke($"rename {folder} to {replaced}");
            Directory.Move(folder, replaced);
        }

        try
        {
            trace?.Invoke($"rename {partial} to {folder}");
            Directory.Move(partial, folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (Directory.Exists(replaced))
                Directory.Move(replaced, folder);
            throw;
        }

        if (Path.GetDirectoryName(folder) is { } parent)
            FolderEntries.Flush(parent);
        trace?.Invoke($"remove {replaced}");
        CheckpointFiles.Remove(replaced);
    }

    private static string Hash(byte[] contents) => Convert.ToHexStringLower(SHA256.HashData(contents));
}
