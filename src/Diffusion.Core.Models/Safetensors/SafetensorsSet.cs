using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The tensors of one safetensors file, or of several files with an index. Instances can be read from several threads at the same time.
/// </summary>
public sealed class SafetensorsSet : IDisposable
{
    private readonly List<SafetensorsFile> _files;
    private readonly Dictionary<string, SafetensorsFile> _byName = new(StringComparer.Ordinal);

    private SafetensorsSet(string path, List<SafetensorsFile> files)
    {
        (Path, _files) = (path, files);
        foreach (var file in files)
        {
            foreach (var name in file.Names)
            {
                if (!_byName.TryAdd(name, file))
                    throw new InvalidDataException(
                        Invariant($"{path}: the tensor '{name}' is both in {_byName[name].Path} and in {file.Path}."));
            }
        }

        Names = [.. files.SelectMany(file => file.Names)];
    }

    /// <summary>The path of the file or the index.</summary>
    public string Path { get; }

    /// <summary>The names of all tensors.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The files, in ordinal order of their names.</summary>
    public IReadOnlyList<SafetensorsFile> Files => _files;

    /// <summary>Returns the entry of one tensor in the header of its file.</summary>
    /// <exception cref="KeyNotFoundException">No file contains a tensor of that name.</exception>
    public SafetensorsEntry this[string name] => FileOf(name)[name];

    /// <summary>Opens a file, an index with its files, or the files in a folder, and validates every header.</summary>
    /// <param name="path">
    /// A <c>.safetensors</c> file; an index, <c>*.safetensors.index.json</c>, of files in the same folder; or a folder that contains one of
    /// these. If a folder contains both, the index is opened.
    /// </param>
    /// <exception cref="FileNotFoundException">
    /// A file does not exist, or the folder contains no safetensors file. In the latter case, the message lists the files in the folder.
    /// </exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged, the index does not match the tensors of its files, or the folder contains several sets.
    /// </exception>
    public static SafetensorsSet Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
            path = FindIn(path);
        var files = new List<SafetensorsFile>();
        try
        {
            if (!path.EndsWith(".json", StringComparison.Ordinal))
            {
                files.Add(SafetensorsFile.Open(path));
                return new SafetensorsSet(path, files);
            }

            var index = SafetensorsIndex.Read(path);
            var folder = System.IO.Path.GetDirectoryName(path) ?? "";
            foreach (var name in index.Files.Values.Distinct().Order(StringComparer.Ordinal))
                files.Add(SafetensorsFile.Open(System.IO.Path.Combine(folder, name)));
            var result = new SafetensorsSet(path, files);
            result.CheckAgainst(index);
            return result;
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    /// <summary>Returns whether a file contains a tensor of that name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>Reads one tensor.</summary>
    /// <inheritdoc cref="SafetensorsFile.Read"/>
    public Tensor Read(string name, Device? device = null) => FileOf(name).Read(name, device);

    /// <summary>Closes the files. Tensors that were read are not disposed.</summary>
    public void Dispose() => _files.ForEach(file => file.Dispose());

    /// <summary>Throws if <see cref="Read"/> cannot read the tensor.</summary>
    /// <inheritdoc cref="SafetensorsFile.Verify" path="/exception"/>
    internal void Verify(string name) => FileOf(name).Verify(this[name]);

    private static string FindIn(string folder)
    {
        foreach (var pattern in new[] { "*" + SafetensorsIndex.Extension, "*.safetensors" })
        {
            var found = DiskFile.List(folder, pattern);
            if (found.Length > 1)
                throw new InvalidDataException(
                    $"{folder} must hold one set of weights, got "
                    + $"{string.Join(", ", found.Select(System.IO.Path.GetFileName).Order(StringComparer.Ordinal))}; "
                    + "pass the path of one of them.");
            if (found.Length == 1)
                return found[0];
        }

        var others = DiskFile.List(folder).Select(System.IO.Path.GetFileName).Order(StringComparer.Ordinal);
        throw new FileNotFoundException(
            $"{folder} contains no safetensors file; its files are: {string.Join(", ", others)}. Weights in other formats "
            + $"(.bin, .ckpt) can run code when they are read, and are not supported.");
    }

    private SafetensorsFile FileOf(string name) => _byName.TryGetValue(name, out var file)
        ? file
        : throw new KeyNotFoundException($"{Path} has no tensor '{name}'; it has {Names.Count}: {string.Join(", ", Names.Take(20))}.");

    private void CheckAgainst(SafetensorsIndex index)
    {
        foreach (var (name, file) in index.Files)
        {
            var actual = _byName.TryGetValue(name, out var found) ? System.IO.Path.GetFileName(found.Path) : "no file";
            if (actual != file)
                throw new InvalidDataException(Invariant($"{Path}: the index has tensor '{name}' in {file}, it is in {actual}."));
        }

        if (Names.FirstOrDefault(name => !index.Files.ContainsKey(name)) is { } unlisted)
            throw new InvalidDataException(Invariant($"{Path}: the index does not list tensor '{unlisted}' of {_byName[unlisted].Path}."));
    }
}
