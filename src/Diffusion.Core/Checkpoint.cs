using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// One checkpoint: a folder of safetensors files, trainer.json, which lists them with their SHA-256, and the SHA-256 of that. It is
/// written under another name beside its place, flushed to disk, and renamed: a folder of the right name is whole.
/// </summary>
internal static class Checkpoint
{
    /// <summary>The weights and buffers, under the module's own names.</summary>
    public const string ModelFile = "model.safetensors";

    /// <summary>The averaged weights, under the same names: loads into the network as the weights do.</summary>
    public const string AverageFile = "ema.safetensors";

    /// <summary>The moments of the optimizer.</summary>
    public const string OptimizerFile = "optimizer.safetensors";

    /// <summary>What an adaptive sampler of times has learned; only where there is one.</summary>
    public const string TimestepsFile = "timesteps.safetensors";

    /// <summary>The manifest.</summary>
    public const string ManifestFile = "trainer.json";

    /// <summary>The SHA-256 of the manifest, as sha256sum writes it.</summary>
    public const string ChecksumFile = ManifestFile + ".sha256";

    private static readonly string[] TensorFiles = [ModelFile, AverageFile, OptimizerFile];

    /// <summary>True for the folder of a checkpoint, sound or not.</summary>
    public static bool IsCheckpoint(string folder) => File.Exists(Path.Combine(folder, ManifestFile));

    /// <summary>Writes a checkpoint; one that is already there is replaced.</summary>
    /// <param name="folder">The folder to make, whose parent is made if need be.</param>
    /// <param name="manifest">Everything but the list of files.</param>
    /// <param name="tensors">For each file, its tensors by name.</param>
    /// <exception cref="CheckpointException">It cannot be written; what was there is still there.</exception>
    public static void Write(
        string folder, CheckpointManifest manifest, IReadOnlyDictionary<string, Dictionary<string, Tensor>> tensors)
    {
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (Directory.Exists(folder) && !IsCheckpoint(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
            throw new CheckpointException(folder, "holds other files and no checkpoint; give an empty or a new folder.", null);
        var (partial, replaced) = (Beside(folder, "partial"), Beside(folder, "replaced"));
        try
        {
            Remove(partial);
            Directory.CreateDirectory(partial);
            string[] names = [.. TensorFiles, .. tensors.Keys.Except(TensorFiles)];
            foreach (var name in names)
                Safetensors.Save(Path.Combine(partial, name), tensors[name], new Dictionary<string, string> { ["format"] = "pt" });
            var json = (manifest with { Files = [.. names.Select(name => Describe(partial, name))] }).ToJson();
            WriteFlushed(Path.Combine(partial, ManifestFile), json);
            WriteFlushed(Path.Combine(partial, ChecksumFile), Encoding.ASCII.GetBytes($"{Hash(json)}  {ManifestFile}\n"));
            Remove(replaced);
            if (Directory.Exists(folder))
                Directory.Move(folder, replaced);
            Directory.Move(partial, folder);
            Remove(replaced);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TryRemove(partial);
            throw new CheckpointException(folder, $"cannot be written: {e.Message}", e);
        }
        catch
        {
            TryRemove(partial);
            throw;
        }
    }

    /// <summary>Reads the manifest and proves every file whole.</summary>
    /// <exception cref="CheckpointException">
    /// A file is missing, truncated, damaged or from another version; the message names it.
    /// </exception>
    public static CheckpointManifest Read(string folder)
    {
        var json = ReadFile(folder, ManifestFile);
        var path = Path.Combine(folder, ManifestFile);
        var expected = Encoding.ASCII.GetString(ReadFile(folder, ChecksumFile));
        var actual = $"{Hash(json)}  {ManifestFile}\n";
        if (expected != actual)
            throw new CheckpointException(path, $"is damaged: {ChecksumFile} says '{expected.Trim()}', it has '{actual.Trim()}'.", null);
        CheckpointManifest manifest;
        try
        {
            manifest = CheckpointManifest.Parse(json);
        }
        catch (JsonException e)
        {
            throw new CheckpointException(path, $"is not a manifest: {e.Message}", e);
        }

        var names = manifest.Files.Select(file => file.Name).ToArray();
        if (!names.SequenceEqual(TensorFiles) && !names.SequenceEqual([.. TensorFiles, TimestepsFile]))
            throw new CheckpointException(
                path,
                $"must list {string.Join(", ", TensorFiles)}, and at most {TimestepsFile} besides, got {string.Join(", ", names)}.",
                null);
        foreach (var file in manifest.Files)
            Verify(folder, file);
        return manifest;
    }

    /// <summary>Reads one file of tensors.</summary>
    /// <returns>Name to tensor, on the CPU; the tensors are the caller's.</returns>
    /// <exception cref="CheckpointException">The file cannot be read.</exception>
    public static Dictionary<string, Tensor> ReadTensors(string folder, string name)
    {
        var path = Path.Combine(folder, name);
        try
        {
            return Safetensors.Load(path);
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Removes a checkpoint so that no half of it is ever found.</summary>
    public static void Delete(string folder)
    {
        var doomed = Beside(folder, "deleted");
        Remove(doomed);
        Directory.Move(folder, doomed);
        Remove(doomed);
    }

    private static string Beside(string folder, string kind)
        => Path.Combine(Path.GetDirectoryName(folder) ?? folder, $".{Path.GetFileName(folder)}.{kind}");

    private static void Remove(string folder)
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    private static void TryRemove(string folder)
    {
        try
        {
            Remove(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The error that led here is the one to report.
        }
    }

    private static void WriteFlushed(string path, byte[] contents)
    {
        using var stream = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        stream.Write(contents);
        stream.Flush(flushToDisk: true);
    }

    private static CheckpointFile Describe(string folder, string name)
    {
        using var stream = File.OpenRead(Path.Combine(folder, name));
        return new CheckpointFile(name, stream.Length, Convert.ToHexStringLower(SHA256.HashData(stream)));
    }

    private static string Hash(byte[] contents) => Convert.ToHexStringLower(SHA256.HashData(contents));

    private static byte[] ReadFile(string folder, string name)
    {
        var path = Path.Combine(folder, name);
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {e.Message}", e);
        }
    }

    private static void Verify(string folder, CheckpointFile expected)
    {
        var path = Path.Combine(folder, expected.Name);
        CheckpointFile actual;
        try
        {
            actual = Describe(folder, expected.Name);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {e.Message}", e);
        }

        if (actual.Size != expected.Size)
            throw new CheckpointException(path, $"must have {expected.Size} bytes, has {actual.Size}.", null);
        if (actual.Sha256 != expected.Sha256)
            throw new CheckpointException(path, $"is damaged: its SHA-256 must be {expected.Sha256}, is {actual.Sha256}.", null);
    }
}
