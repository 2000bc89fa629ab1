using System.Text.Json;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Models.Tests;

/// <summary>The U-Nets among the reference values, described by diffusers' config.json.</summary>
internal static class GoldenUNet
{
    /// <summary>Folders, relative to the reference values, that hold a UNet2DModel.</summary>
    public static TheoryData<string> Folders { get; } =
    [
        .. Directory.GetFiles(Path.Combine(TestData.Golden, "models"), "config.json", SearchOption.AllDirectories)
            .Where(file => ClassOf(file) == "UNet2DModel")
            .Select(file => Path.GetRelativePath(TestData.Golden, Path.GetDirectoryName(file)!))
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>The network of a folder, with its weights.</summary>
    public static UNet Load(string folder)
    {
        var path = Path.Combine(TestData.Golden, folder);
        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(path, "config.json")));
        var unet = new UNet(OptionsOf(config.RootElement));
        ModuleWeights.Load(unet, Path.Combine(path, "diffusion_pytorch_model.safetensors"));
        return unet;
    }

    /// <summary>diffusers' configuration as options.</summary>
    public static UNetOptions OptionsOf(JsonElement config)
    {
        int Int(string name) => config.GetProperty(name).GetInt32();
        int? Optional(string name) => config.GetProperty(name) is { ValueKind: JsonValueKind.Number } value ? value.GetInt32() : null;
        string Text(string name) => config.GetProperty(name).GetString()!;
        string[] Texts(string name) => [.. config.GetProperty(name).EnumerateArray().Select(item => item.GetString()!)];

        config.GetProperty("act_fn").GetString().Should().Be("silu");
        config.GetProperty("center_input_sample").GetBoolean().Should().BeFalse();
        Int("mid_block_scale_factor").Should().Be(1);
        Text("time_embedding_type").Should().Be("positional");
        var down = Texts("down_block_types");
        var scaleShift = Text("resnet_time_scale_shift") == "scale_shift";
        var options = new UNetOptions
        {
            ImageSize = Int("sample_size"),
            Channels = Int("in_channels"),
            OutChannels = Int("out_channels"),
            LevelWidths = [.. config.GetProperty("block_out_channels").EnumerateArray().Select(item => item.GetInt32())],
            LayersPerBlock = Int("layers_per_block"),
            HeadWidth = Optional("attention_head_dim"),
            MiddleAttention = config.GetProperty("add_attention").GetBoolean(),
            MiddleAttentionNorm = !scaleShift || Optional("attn_norm_num_groups") is not null,
            Dropout = config.GetProperty("dropout").GetDouble(),
            GroupNormGroups = Int("norm_num_groups"),
            NormEpsilon = config.GetProperty("norm_eps").GetDouble(),
            ScaleShift = scaleShift,
            ResidualResampling = Text("downsample_type") == "resnet",
            DownsamplePadding = Int("downsample_padding"),
            Classes = Optional("num_class_embeds"),
            FlipSinToCos = config.GetProperty("flip_sin_to_cos").GetBoolean(),
            FrequencyShift = config.GetProperty("freq_shift").GetDouble(),
        };
        var resolutions = options.Resolutions();
        return options with
        {
            AttentionResolutions = [.. resolutions.Where((_, level) => down[level].StartsWith("Attn", StringComparison.Ordinal))],
        };
    }

    private static string? ClassOf(string file)
    {
        using var config = JsonDocument.Parse(File.ReadAllText(file));
        return config.RootElement.GetProperty("_class_name").GetString();
    }
}
