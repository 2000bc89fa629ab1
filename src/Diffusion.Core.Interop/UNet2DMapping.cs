using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Interop;

/// <summary>UNet2DModel.</summary>
internal sealed class UNet2DMapping : IModelMapping
{
    public string ClassName => "UNet2DModel";

    public nn.Module Create(ModelConfig config)
    {
        config.Require("act_fn", "silu");
        config.Require("center_input_sample", false);
        config.Require("mid_block_scale_factor", 1);
        config.Require("time_embedding_type", "positional");
        var down = config.Texts("down_block_types")!;
        var scaleShift = config.Text("resnet_time_scale_shift", "default") == "scale_shift";
        var options = new UNetOptions
        {
            ImageSize = config.Whole("sample_size", 32),
            Channels = config.Whole("in_channels", 3),
            OutChannels = config.Whole("out_channels", 3),
            LevelWidths = config.Wholes("block_out_channels"),
            LayersPerBlock = config.Whole("layers_per_block", 2),
            HeadWidth = config.WholeOrNull("attention_head_dim"),
            MiddleAttention = config.Flag("add_attention", true),
            MiddleAttentionNorm = !scaleShift || config.Has("attn_norm_num_groups"),
            Dropout = config.Number("dropout", 0.0),
            GroupNormGroups = config.Whole("norm_num_groups", 32),
            NormEpsilon = config.Number("norm_eps", 1e-5),
            ScaleShift = scaleShift,
            ResidualResampling = config.Text("downsample_type", "conv") == "resnet",
            DownsamplePadding = config.Whole("downsample_padding", 1),
            Classes = config.WholeOrNull("num_class_embeds"),
            FlipSinToCos = config.Flag("flip_sin_to_cos", true),
            FrequencyShift = config.Number("freq_shift", 0.0),
        };
        var resolutions = options.Resolutions();
        return new UNet(options with
        {
            AttentionResolutions = [.. resolutions.Where((_, level) => down[level].StartsWith("Attn", StringComparison.Ordinal))],
        });
    }

    public ModelConfig? Describe(nn.Module network) => null;
}
