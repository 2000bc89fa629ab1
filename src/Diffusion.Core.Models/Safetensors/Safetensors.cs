using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Saves and loads named tensors as safetensors: one file, or several with an index.</summary>
public static class Safetensors
{
    /// <summary>
    /// Writes tensors to a file, sorted by type, with the largest element size first, and then by name. The bytes of the file depend only
    /// on the tensors and the metadata, and not on the order in which they are given. The file is written atomically, and replaces an
    /// existing file.
    /// </summary>
    /// <param name="path">The path of the file. Its folder is created if it does not exist.</param>
    /// <param name="tensors">The names and tensors, of any shape, device and memory layout. The tensors are not modified.</param>
    /// <param name="metadata">The strings to store in the header, or <see langword="null"/>.</param>
    /// <exception cref="ArgumentException">
    /// A name is duplicated, empty, reserved or not valid Unicode, or the format does not support the type of a tensor.
    /// </exception>
    /// <exception cref="IOException">The file cannot be written. An existing file is not changed.</exception>
    public static void Save(
        string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        Write(path, tensors.Select(pair => SafetensorsSource.Of(pair.Key, pair.Value)), metadata);
    }

    /// <summary>
    /// Writes a file from sources, which create their tensors one after the other, so that only one tensor at a time is in memory.
    /// </summary>
    /// <param name="path">The path of the file. Its folder is created if it does not exist.</param>
    /// <param name="tensors">The tensors to write.</param>
    /// <param name="metadata">The strings to store in the header, or <see langword="null"/>.</param>
    /// <exception cref="ArgumentException">
    /// A name is duplicated, empty, reserved or not valid Unicode, or a created tensor does not have the shape of its source.
    /// </exception>
    /// <exception cref="InvalidOperationException">
    /// The number of bytes that a source writes does not match its type and shape.
    /// </exception>
    /// <exception cref="IOException">The file cannot be written. An existing file is not changed.</exception>
    public static void Write(string path, IEnumerable<SafetensorsSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        AtomicFile.Write(path, new SafetensorsLayout(tensors, metadata).WriteTo);
    }

    /// <summary>
    /// Writes a set of files to a folder, with the names that the libraries of Hugging Face use: <c>name.safetensors</c> if one file is
    /// enough, otherwise <c>name-00001-of-00003.safetensors</c> and so on, and <c>name.safetensors.index.json</c>. Either all files are
    /// written or none. The files of an earlier set with the same name are deleted.
    /// </summary>
    /// <param name="folder">The folder. It is created if it does not exist.</param>
    /// <param name="name">The name of the set, such as <c>diffusion_pytorch_model</c>.</param>
    /// <param name="tensors">The tensors to write, in the order in which they are distributed over the files.</param>
    /// <param name="maxShardBytes">
    /// The maximum size of the tensors in one file, in bytes. A larger tensor is written to a separate file.
    /// </param>
    /// <param name="metadata">The strings to store in the header of each file, or <see langword="null"/>.</param>
    /// <returns>The paths of the files. If there is an index, its path is the last one.</returns>
    /// <exception cref="ArgumentException">
    /// A name is duplicated, empty, reserved or not valid Unicode, or <paramref name="maxShardBytes"/> is not positive.
    /// </exception>
    /// <exception cref="IOException">A file cannot be written. The folder is not changed.</exception>
    public static IReadOnlyList<string> WriteSharded(
        string folder,
        string name,
        IEnumerable<SafetensorsSource> tensors,
        long maxShardBytes,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentException.ThrowIfNullOrEmpty(name);
        var shards = SafetensorsIndex.Split(tensors, Guard.Positive(maxShardBytes));
        using var staged = new StagedFolder(folder);
        var files = new List<string>();
        for (var i = 0; i < shards.Count; i++)
        {
            files.Add(SafetensorsIndex.FileName(name, i, shards.Count));
            Write(Path.Combine(staged.Path, files[i]), shards[i], metadata);
        }

        if (shards.Count > 1)
        {
            var index = SafetensorsIndex.Of(shards, files).ToJson();
            files.Add(SafetensorsIndex.IndexName(name));
            File.WriteAllText(Path.Combine(staged.Path, files[^1]), index);
        }

        staged.Commit(file => IsFileOf(name, file));
        return [.. files.Select(file => Path.Combine(folder, file))];
    }

    /// <summary>Returns whether <see cref="WriteSharded"/> can write a file with this name for a set.</summary>
    /// <param name="name">The name of the set.</param>
    /// <param name="file">The name of the file, without a folder.</param>
    public static bool IsFileOf(string name, string file)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(file);
        return SafetensorsIndex.BelongsTo(name, file);
    }

    /// <summary>Reads every tensor of a file.</summary>
    /// <param name="path">The path of the file.</param>
    /// <param name="device">The device of the tensors. The default is the CPU.</param>
    /// <returns>The tensors by name. The caller must dispose them.</returns>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, or the type of a tensor is not supported.</exception>
    public static Dictionary<string, Tensor> Load(string path, Device? device = null)
    {
        using var file = SafetensorsFile.Open(path);
        return file.ReadAll(device);
    }
}
