using System.Text.Json;
using System.Text.RegularExpressions;
using Diffusion.Core.Models;
using TorchSharp;

namespace Diffusion.Core.Testing;

/// <summary>One file of reference values: named tensors, and in its metadata the settings they were made with.</summary>
public sealed partial class GoldenFile : IDisposable
{
    private readonly SafetensorsFile _file;
    private readonly JsonDocument _case;

    /// <summary>Opens a file under <see cref="TestData.Golden"/>.</summary>
    /// <param name="relativePath">Such as <c>process/schedule-linear-1000.safetensors</c>.</param>
    public GoldenFile(string relativePath)
    {
        _file = SafetensorsFile.Open(Path.Combine(TestData.Golden, relativePath));
        _case = JsonDocument.Parse(BareNumber().Replace(_file.Metadata["case"], "\"$0\""));
    }

    /// <summary>The settings of the case.</summary>
    public JsonElement Case => _case.RootElement;

    /// <summary>
    /// The files of a folder that match a pattern, in ordinal order, as theory data. A folder or a pattern without files is an error:
    /// missing reference values must not look like a pass.
    /// </summary>
    /// <param name="folder">A folder under <see cref="TestData.Golden"/>.</param>
    /// <param name="pattern">Such as <c>schedule-*.safetensors</c>.</param>
    /// <param name="wanted">Which of them, by what they hold; all unless said otherwise.</param>
    public static TheoryData<string> Find(string folder, string pattern, Func<GoldenFile, bool>? wanted = null)
    {
        var root = Path.Combine(TestData.Golden, folder);
        if (!Directory.Exists(root))
            throw new DirectoryNotFoundException($"There are no reference values at {root}; set DIFFUSION_GOLDEN_DIR.");
        var result = new TheoryData<string>();
        foreach (var path in Directory.EnumerateFiles(root, pattern).Order(StringComparer.Ordinal))
        {
            var relative = Path.Combine(folder, Path.GetFileName(path));
            using var file = wanted is null ? null : new GoldenFile(relative);
            if (file is null || wanted!(file))
                result.Add(relative);
        }

        return result.Any() ? result : throw new FileNotFoundException($"No file of {root} matches '{pattern}'.");
    }

    /// <summary>True where the file has a tensor of that name.</summary>
    public bool Contains(string name) => _file.Contains(name);

    /// <summary>A tensor as it is in the file; the caller's.</summary>
    public torch.Tensor Read(string name) => _file.Read(name);

    /// <summary>A tensor of any floating type, in double precision; the caller's.</summary>
    public torch.Tensor ReadDouble(string name)
    {
        using var stored = _file.Read(name);
        return stored.to(torch.ScalarType.Float64, copy: true);
    }

    /// <summary>The values of a tensor of any floating type, in row-major order.</summary>
    public double[] Values(string name)
    {
        using var tensor = ReadDouble(name);
        return tensor.data<double>().ToArray();
    }

    public void Dispose()
    {
        _case.Dispose();
        _file.Dispose();
    }

    // Python writes infinities as bare words, which are no JSON; as strings they are.
    [GeneratedRegex("(?<=[:,\\[]\\s*)(-?Infinity|NaN)")]
    private static partial Regex BareNumber();
}
