using System.Text.Json;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>The autoencoders among the reference values, described by diffusers' config.json.</summary>
internal static class GoldenAutoencoder
{
    /// <summary>Folders, relative to the reference values, that hold a network of a class.</summary>
    public static TheoryData<string> Folders(string className) =>
    [
        .. Directory.GetFiles(Path.Combine(TestData.Golden, "models"), "config.json", SearchOption.AllDirectories)
            .Where(file => Config(file).GetProperty("_class_name").GetString() == className)
            .Select(file => Path.GetRelativePath(TestData.Golden, Path.GetDirectoryName(file)!))
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>The AutoencoderKL of a folder, with its weights.</summary>
    public static AutoencoderKL LoadKl(string folder)
    {
        var config = Config(Path.Combine(TestData.Golden, folder, "config.json"));
        double[]? Numbers(string name) => config.GetProperty(name) is { ValueKind: JsonValueKind.Array } values
            ? [.. values.EnumerateArray().Select(value => value.GetDouble())]
            : null;
        return WithWeights(folder, new AutoencoderKL(new AutoencoderKLOptions
        {
            Body = BodyOf(config),
            QuantConvolution = config.GetProperty("use_quant_conv").GetBoolean(),
            PostQuantConvolution = config.GetProperty("use_post_quant_conv").GetBoolean(),
            ScalingFactor = config.GetProperty("scaling_factor").GetDouble(),
            ShiftFactor = config.GetProperty("shift_factor") is { ValueKind: JsonValueKind.Number } shift ? shift.GetDouble() : 0.0,
            LatentsMean = Numbers("latents_mean"),
            LatentsStd = Numbers("latents_std"),
        }));
    }

    /// <summary>The VQModel of a folder, with its weights.</summary>
    public static VQModel LoadVq(string folder)
    {
        var config = Config(Path.Combine(TestData.Golden, folder, "config.json"));
        return WithWeights(folder, new VQModel(new VQModelOptions
        {
            Body = BodyOf(config),
            Codes = config.GetProperty("num_vq_embeddings").GetInt32(),
            CodeWidth = config.GetProperty("vq_embed_dim") is { ValueKind: JsonValueKind.Number } width ? width.GetInt32() : null,
            SpatialNorm = config.GetProperty("norm_type").GetString() == "spatial",
            LookupFromCodebook = config.GetProperty("lookup_from_codebook").GetBoolean(),
            ScalingFactor = config.GetProperty("scaling_factor").GetDouble(),
        }));
    }

    /// <summary>The tensors that were recorded beside a network, in the current dispose scope.</summary>
    public static Dictionary<string, Tensor> Recorded(string folder) => Safetensors.Load(Path.Combine(TestData.Golden, folder, "io.safetensors"));

    private static T WithWeights<T>(string folder, T network)
        where T : nn.Module
    {
        ModuleWeights.Load(network, Path.Combine(TestData.Golden, folder, "diffusion_pytorch_model.safetensors"));
        return network;
    }

    private static ConvolutionalBody BodyOf(JsonElement config)
    {
        string[] Texts(string name) => [.. config.GetProperty(name).EnumerateArray().Select(item => item.GetString()!)];
        static int[] Attending(IEnumerable<string> types)
            => [.. types.Select((type, level) => (type, level)).Where(pair => pair.type.StartsWith("Attn", StringComparison.Ordinal)).Select(pair => pair.level)];
        return new ConvolutionalBody
        {
            Channels = config.GetProperty("in_channels").GetInt32(),
            OutChannels = config.GetProperty("out_channels").GetInt32(),
            Widths = [.. config.GetProperty("block_out_channels").EnumerateArray().Select(item => item.GetInt32())],
            LayersPerBlock = config.GetProperty("layers_per_block").GetInt32(),
            LatentChannels = config.GetProperty("latent_channels").GetInt32(),
            Groups = config.GetProperty("norm_num_groups").GetInt32(),
            MiddleAttention = !config.TryGetProperty("mid_block_add_attention", out var attends) || attends.GetBoolean(),
            EncoderAttentionLevels = Attending(Texts("down_block_types")),
            DecoderAttentionLevels = Attending(Texts("up_block_types").Reverse()),
            Activation = config.GetProperty("act_fn").GetString() switch
            {
                "silu" => Activation.Silu,
                "gelu" => Activation.Gelu,
                "relu" => Activation.Relu,
                var other => throw new InvalidDataException($"act_fn {other}"),
            },
        };
    }

    private static JsonElement Config(string file)
    {
        using var document = JsonDocument.Parse(File.ReadAllText(file));
        return document.RootElement.Clone();
    }
}
