using System.Text.Json;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>Folders that diffusers wrote: the reference values, and the network of the PretrainedDigits sample.</summary>
internal static class FolderFixture
{
    /// <summary>Every folder with a network, relative to the reference values, or absolute.</summary>
    public static TheoryData<string> Models { get; } = [.. Find("config.json", "_class_name")];

    /// <summary>Every folder with a pipeline.</summary>
    public static TheoryData<string> Pipelines { get; } = [.. Find("model_index.json", "_class_name")];

    /// <summary>The absolute path of one.</summary>
    public static string PathOf(string folder) => Path.Combine(TestData.Golden, folder);

    /// <summary>The absolute path of a committed one, for tests that are made for it, wherever the reference values are.</summary>
    public static string Committed(string name) => Path.Combine(TestData.Root, "tests", "golden", "models", name);

    /// <summary>The contents of every file under a folder, as text or as hexadecimal digits.</summary>
    public static Dictionary<string, string> Contents(string folder)
        => Directory.GetFiles(folder, "*", SearchOption.AllDirectories).ToDictionary(
            file => Path.GetRelativePath(folder, file),
            file => file.EndsWith(".safetensors", StringComparison.Ordinal) ? Convert.ToHexString(File.ReadAllBytes(file)) : File.ReadAllText(file));

    /// <summary>Networks that diffusers does not have, recorded under the names that they have here.</summary>
    private static bool IsOurs(string className) => NetworkRegistry.Default.Names.Contains(className) && !DiffusersTable.Default.Knows(className);

    private static IEnumerable<string> Find(string file, string key)
    {
        var sample = Path.Combine(TestData.Root, "samples", "PretrainedDigits", "mnist-ddpm");
        var found = Directory.GetFiles(Path.Combine(TestData.Golden, "models"), file, SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(TestData.Golden, Path.GetDirectoryName(path)!))
            .Concat(Directory.GetFiles(sample, file, SearchOption.AllDirectories).Select(path => Path.GetDirectoryName(path)!));
        return found.Where(folder =>
        {
            using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(PathOf(folder), file)));
            return config.RootElement.TryGetProperty(key, out var name) && !IsOurs(name.GetString()!);
        }).Order(StringComparer.Ordinal);
    }
}
