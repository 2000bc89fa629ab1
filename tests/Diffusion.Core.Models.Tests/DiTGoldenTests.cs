using System.Text.Json;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

[Trait(Category.Name, Category.Golden)]
public class DiTGoldenTests
{
    public static TheoryData<string> Folders => GoldenCase.Folders("DiTTransformer2DModel");

    [Theory]
    [MemberData(nameof(Folders))]
    public void Names_output_loss_and_every_gradient_are_those_of_diffusers(string folder)
    {
        using var scope = NewDisposeScope();
        var options = GoldenCase.Config(folder, OptionsOf);
        using var network = new DiT(options);
        GoldenCase.LoadWeights(network, folder);
        network.eval();
        var io = GoldenCase.Values(folder);

        ModuleWeights.Count(network).Should().Be(options.CountParameters());
        GoldenCase.ShouldMatch(network, network.Answer(io["hidden_states"], io["timestep"], io["class_labels"]), io);
    }

    private static DiTOptions OptionsOf(JsonElement config)
    {
        int Int(string name) => config.GetProperty(name).GetInt32();
        config.GetProperty("norm_type").GetString().Should().Be("ada_norm_zero");
        return new DiTOptions
        {
            ImageSize = Int("sample_size"),
            Channels = Int("in_channels"),
            OutChannels = config.GetProperty("out_channels") is { ValueKind: JsonValueKind.Number } channels ? channels.GetInt32() : null,
            PatchSize = Int("patch_size"),
            Width = Int("num_attention_heads") * Int("attention_head_dim"),
            Heads = Int("num_attention_heads"),
            Depth = Int("num_layers"),
            Classes = Int("num_embeds_ada_norm"),
            Dropout = config.GetProperty("dropout").GetDouble(),
            AttentionBias = config.GetProperty("attention_bias").GetBoolean(),
            NormAffine = config.GetProperty("norm_elementwise_affine").GetBoolean(),
            NormEpsilon = config.GetProperty("norm_eps").GetDouble(),
            Activation = config.GetProperty("activation_fn").GetString() switch
            {
                "gelu" => Activation.Gelu,
                "gelu-approximate" => Activation.GeluTanh,
                "geglu" => Activation.GeGlu,
                "geglu-approximate" => Activation.GeluSigmoid,
                "swiglu" => Activation.SwiGlu,
                var other => throw new NotSupportedException($"activation '{other}'"),
            },
        };
    }
}
