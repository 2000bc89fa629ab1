using System.Text.Json;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>
/// Against plain implementations in PyTorch, written for these values alone: windows by rolling and slicing, attention by einsum.
/// </summary>
[Trait(Category.Name, Category.Golden)]
public class TransformerGoldenTests
{
    public static TheoryData<string> Folders => GoldenCase.Folders(nameof(UViT), nameof(ViTDenoiser), nameof(SwinDenoiser));

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Folders))]
    public void Output_loss_and_every_gradient_are_those_of_a_plain_implementation(string folder)
    {
        using var scope = NewDisposeScope();
        using var network = GoldenCase.Config(folder, Make);
        GoldenCase.LoadWeights(network, folder);
        network.eval();
        var io = GoldenCase.Values(folder);
        var condition = Condition.Create(labels: io.GetValueOrDefault("class_labels"), vector: io.GetValueOrDefault("vector"));

        GoldenCase.ShouldMatch(network, network.Predict(io["hidden_states"], io["timestep"], condition), io);
    }

    private static DenoisingNetwork Make(JsonElement config)
    {
        int Int(string name) => config.GetProperty(name).GetInt32();
        int? Optional(string name) => config.GetProperty(name) is { ValueKind: JsonValueKind.Number } value ? value.GetInt32() : null;
        int[] Ints(string name) => [.. config.GetProperty(name).EnumerateArray().Select(item => item.GetInt32())];
        bool Is(string name) => config.GetProperty(name).GetBoolean();
        return config.GetProperty("_class_name").GetString() switch
        {
            nameof(UViT) => new UViT(Shared(new UViTOptions
            {
                ImageSize = Int("image_size"),
                Width = Int("width"),
                Depth = Int("depth"),
                Heads = Int("heads"),
                AttentionBias = Is("attention_bias"),
                TimeNetwork = Is("time_network"),
                FinalConvolution = Is("final_convolution"),
            })),
            nameof(ViTDenoiser) => new ViTDenoiser(Shared(new ViTDenoiserOptions
            {
                ImageSize = Int("image_size"),
                Width = Int("width"),
                Depth = Int("depth"),
                Heads = Int("heads"),
                ConditionTokens = Is("condition_tokens"),
            })),
            _ => new SwinDenoiser(Shared(new SwinDenoiserOptions
            {
                Width = Int("width"),
                Depths = Ints("depths"),
                Heads = Ints("heads"),
                WindowSize = Int("window_size"),
            })),
        };

        // What all of them have, set on the record of each.
        T Shared<T>(T options)
            where T : TransformerOptions
            => (T)((TransformerOptions)options with
            {
                Channels = Int("channels"),
                OutChannels = Optional("out_channels"),
                PatchSize = Int("patch_size"),
                FeedForwardRatio = Int("ratio"),
                Classes = Optional("classes"),
                VectorWidth = Optional("vector_width"),
            });
    }
}
