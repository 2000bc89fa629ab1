using System.Text.Json;
using Diffusion.Core.Diffusers;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>A folder of reference values: a network that diffusers saved, with what it answers.</summary>
internal static class GoldenCase
{
    // Both sides are float32: relative to the largest value of each tensor, and for gradients (some of which are zero but for rounding,
    // such as those of the bias of keys) to no less than a hundredth of the largest gradient of the network. diffusers multiplies times and
    // frequencies in float32, which at t = 999 costs the sines 999 * 2^-24 = 6e-5.
    private const double Tolerance = 1e-4;

    private const string WeightsFile = "diffusion_pytorch_model.safetensors";

    /// <summary>Every folder, relative to the reference values, that holds a network.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        .. Directory.GetFiles(Path.Combine(TestData.Golden, "models"), "config.json", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(TestData.Golden, Path.GetDirectoryName(file)!))
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>The folders that hold a network of one of some classes.</summary>
    public static TheoryData<string> Folders(params string[] classNames) => [.. All.Where(folder => classNames.Contains(ClassOf(folder)))];

    /// <summary>The class that the configuration of a folder names, as diffusers or as transformers does; null where it names none.</summary>
    public static string? ClassOf(string folder) => Config(folder, config
        => config.TryGetProperty("_class_name", out var name) ? name.GetString()
            : config.TryGetProperty("architectures", out var names) ? names[0].GetString()
            : null);

    /// <summary>A network of diffusers, in evaluation mode, with the names, the shapes and the weights of a folder.</summary>
    public static TNetwork Load<TNetwork>(string folder)
        where TNetwork : nn.Module
    {
        var path = Path.Combine(TestData.Golden, folder);
        var network = DiffusersModel.Load(path).Network.Should().BeOfType<TNetwork>().Subject;
        using var file = SafetensorsFile.Open(Path.Combine(path, WeightsFile));
        var state = network.state_dict();
        state.Keys.Should().BeEquivalentTo(file.Names);
        foreach (var (name, tensor) in state)
            tensor.shape.Should().Equal([.. file[name].Shape], name);
        return network;
    }

    /// <summary>Reads the configuration of a folder.</summary>
    public static T Config<T>(string folder, Func<JsonElement, T> read)
    {
        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(TestData.Golden, folder, "config.json")));
        return read(config.RootElement);
    }

    /// <summary>Requires the names, the shapes and the number of the parameters of a folder, and loads them.</summary>
    public static void LoadWeights(nn.Module network, string folder)
    {
        var path = Path.Combine(TestData.Golden, folder, WeightsFile);
        using (var file = SafetensorsFile.Open(path))
            network.state_dict().Keys.Should().BeEquivalentTo(file.Names);
        ModuleWeights.Load(network, path);
    }

    /// <summary>The tensors of a folder: inputs, output, target, loss and gradients.</summary>
    public static Dictionary<string, Tensor> Values(string folder)
        => Safetensors.Load(Path.Combine(TestData.Golden, folder, "io.safetensors"));

    /// <summary>Requires the output, the loss and every gradient of a folder.</summary>
    public static void ShouldMatch(nn.Module network, Tensor output, Dictionary<string, Tensor> io)
    {
        var loss = output.sub(io["target"]).pow(2).mean();
        loss.backward();

        Difference(output, io["output"]).Should().BeLessThan(Tolerance * Largest(io["output"]));
        Difference(loss, io["loss"]).Should().BeLessThan(Tolerance * Largest(io["loss"]));
        var gradients = network.named_parameters().ToDictionary(pair => "grad." + pair.name, pair => pair.parameter.grad!);
        var references = io.Where(pair => pair.Key.StartsWith("grad.", StringComparison.Ordinal)).ToArray();
        references.Should().NotBeEmpty();
        var floor = 0.01 * references.Max(pair => Largest(pair.Value));
        foreach (var (name, expected) in references)
            Difference(gradients[name], expected).Should().BeLessThan(Tolerance * Math.Max(Largest(expected), floor), name);
    }

    private static double Difference(Tensor actual, Tensor expected)
    {
        actual.shape.Should().Equal(expected.shape);
        return Largest(actual.sub(expected));
    }

    private static double Largest(Tensor values) => values.abs().max().item<float>();
}
