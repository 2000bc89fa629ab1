using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Saves and loads named tensors as safetensors: one file, or several with an index.</summary>
public static class Safetensors
{
    /// <summary>
    /// Writes a file. The same tensors and metadata give the same bytes, in any order: the widest types first, then by
    /// name. The file appears whole or not at all; one that is already there is replaced.
    /// </summary>
    /// <param name="path">The file; its folder is created where it is missing.</param>
    /// <param name="tensors">Names and tensors of any shape, device and memory layout; not changed.</param>
    /// <param name="metadata">Metadata strings, or <see langword="null"/>.</param>
    /// <exception cref="ArgumentException">
    /// A name that appears twice, is reserved or is not Unicode, or a type that the format does not have.
    /// </exception>
    /// <exception cref="IOException">The file cannot be written; nothing remains.</exception>
    public static void Save(
        string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        Write(path, tensors.Select(pair => SafetensorsSource.Of(pair.Key, pair.Value)), metadata);
    }

    /// <summary>Writes a file of tensors that are created one after the other, and needs no memory in addition to them.</summary>
    /// <inheritdoc cref="Save(string, IEnumerable{KeyValuePair{string, Tensor}}, IReadOnlyDictionary{string, string}?)"/>
    public static void Write(string path, IEnumerable<SafetensorsSource> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        AtomicFile.Write(path, new SafetensorsLayout(tensors, metadata).WriteTo);
    }

    /// <summary>
    /// Writes a set of files into a folder, as Hugging Face's libraries do: <c>name.safetensors</c> where that suffices, otherwise
    /// <c>name-00001-of-00003.safetensors</c> and so on, together with <c>name.safetensors.index.json</c>. All files take their places
    /// together or
    /// none does; those of an earlier set of that name go.
    /// </summary>
    /// <param name="folder">The folder, created where it is missing.</param>
    /// <param name="name">The name of the set, such as <c>diffusion_pytorch_model</c>.</param>
    /// <param name="tensors">What to write, in the order in which the files are filled.</param>
    /// <param name="maxShardBytes">The most bytes of tensors in a file; a larger tensor is written to its own file.</param>
    /// <param name="metadata">Strings to store in each file, or null.</param>
    /// <returns>The files, the index last where there is one.</returns>
    /// <exception cref="ArgumentException">As for a single file.</exception>
    /// <exception cref="IOException">A file cannot be written; the folder is as it was.</exception>
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

    /// <summary>True for the names of files that <see cref="WriteSharded"/> gives a set of some name.</summary>
    /// <param name="name">The name of the set.</param>
    /// <param name="file">The name of a file, without a folder.</param>
    public static bool IsFileOf(string name, string file)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(file);
        return SafetensorsIndex.BelongsTo(name, file);
    }

    /// <summary>Reads every tensor of a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="device">The device of the tensors. The default is the CPU.</param>
    /// <returns>The tensors by name. The caller must dispose them.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is damaged; nothing of it is returned.</exception>
    public static Dictionary<string, Tensor> Load(string path, Device? device = null)
    {
        using var file = SafetensorsFile.Open(path);
        return file.ReadAll(device);
    }
}
