using System.Text.Json;
using System.Text.RegularExpressions;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests.Golden;

/// <summary>One recorded run of a diffusers scheduler; what the file says is all there is to know about it.</summary>
internal sealed partial class DiffusersCase : IDisposable
{
    private readonly Dictionary<string, Tensor> _tensors;
    private readonly JsonDocument _settings;

    public DiffusersCase(string name)
    {
        using var file = SafetensorsFile.Open(Path.Combine(Folder, name + Extension));
        _settings = Parse(file);
        _tensors = file.ReadAll();
        Times = _tensors["timesteps"].data<double>().ToArray();
    }

    /// <summary>The recorded runs whose settings satisfy a condition, by file name without extension.</summary>
    public static IEnumerable<string> Names(Func<JsonElement, bool> settings)
    {
        foreach (var path in Directory.EnumerateFiles(Folder, "*" + Extension).Order(StringComparer.Ordinal))
        {
            using var file = SafetensorsFile.Open(path);
            using var json = Parse(file);
            if (settings(json.RootElement))
                yield return Path.GetFileNameWithoutExtension(path);
        }
    }

    /// <summary>The metadata <c>case</c>: scheduler, config, steps, step_kwargs, set_timesteps.</summary>
    public JsonElement Settings => _settings.RootElement;

    /// <summary>[K] the times the network was called at.</summary>
    public double[] Times { get; }

    /// <summary>A recorded tensor; owned by the case.</summary>
    public Tensor this[string name] => _tensors[name];

    public bool Contains(string name) => _tensors.ContainsKey(name);

    public void Dispose()
    {
        _settings.Dispose();
        foreach (var tensor in _tensors.Values)
            tensor.Dispose();
    }

    private const string Extension = ".safetensors";

    // Python writes infinities as bare words, which are no JSON; as strings they are.
    private static JsonDocument Parse(SafetensorsFile file) => JsonDocument.Parse(BareNumber().Replace(file.Metadata["case"], "\"$0\""));

    [GeneratedRegex("(?<=[:,\\[]\\s*)(-?Infinity|NaN)")]
    private static partial Regex BareNumber();

    private static string Folder => Path.Combine(TestData.Golden, "schedulers");
}
