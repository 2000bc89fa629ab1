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
        var condition = new Condition { Labels = io.GetValueOrDefault("class_labels"), Vector = io.GetValueOrDefault("vector") };

        GoldenCase.ShouldMatch(network, network.Predict(io["hidden_states"], io["timestep"], condition), io);
    }

    private static DenoisingNetwork Make(JsonElement config)
    {
        int Int(string name) => config.GetProperty(name).GetInt32();
        int? Optional(string name) => config.GetProperty(name) is { ValueKind: JsonValueKind.Number } value ? value.GetInt32() : null;
        int[] Ints(string name) => [.. config.GetProperty(name).EnumerateArray().Select(item => item.GetInt32())];
        bool Is(string name) => config.GetProperty(name).GetBoolean();
        var (channels, outputs, patch, ratio) = (Int("channels"), Optional("out_channels"), Int("patch_size"), Int("ratio"));
        var (classes, vector) = (Optional("classes"), Optional("vector_width"));
        return config.GetProperty("_class_name").GetString() switch
        {
            nameof(UViT) => new UViT(new UViTOptions
            {
                ImageSize = Int("image_size"),
                Width = Int("width"),
                Depth = Int("depth"),
                Heads = Int("heads"),
                AttentionBias = Is("attention_bias"),
                TimeNetwork = Is("time_network"),
                FinalConvolution = Is("final_convolution"),
                Channels = channels,
                OutChannels = outputs,
                PatchSize = patch,
                FeedForwardRatio = ratio,
                Classes = classes,
                VectorWidth = vector,
            }),
            nameof(ViTDenoiser) => new ViTDenoiser(new ViTDenoiserOptions
            {
                ImageSize = Int("image_size"),
                Width = Int("width"),
                Depth = Int("depth"),
                Heads = Int("heads"),
                ConditionTokens = Is("condition_tokens"),
                Channels = channels,
                OutChannels = outputs,
                PatchSize = patch,
                FeedForwardRatio = ratio,
                Classes = classes,
                VectorWidth = vector,
            }),
            _ => new SwinDenoiser(new SwinDenoiserOptions
            {
                Width = Int("width"),
                Depths = Ints("depths"),
                Heads = Ints("heads"),
                WindowSize = Int("window_size"),
                Channels = channels,
                OutChannels = outputs,
                PatchSize = patch,
                FeedForwardRatio = ratio,
                Classes = classes,
                VectorWidth = vector,
            }),
        };
    }
}
