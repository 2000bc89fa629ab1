using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Interop;

/// <summary>AutoencoderKL.</summary>
internal sealed class AutoencoderKLMapping : IModelMapping
{
    public string ClassName => "AutoencoderKL";

    public nn.Module Create(ModelConfig config) => new AutoencoderKL(new AutoencoderKLOptions
    {
        Body = ConvolutionalBodyMapping.Read(config, latentChannels: 4),
        QuantConvolution = config.Flag("use_quant_conv", true),
        PostQuantConvolution = config.Flag("use_post_quant_conv", true),
        ScalingFactor = config.Number("scaling_factor", 0.18215),
        ShiftFactor = config.Number("shift_factor", 0.0),
        LatentsMean = config.Numbers("latents_mean"),
        LatentsStd = config.Numbers("latents_std"),
    });

    public ModelConfig? Describe(nn.Module network)
    {
        if (network is not AutoencoderKL { Options: var options })
            return null;
        var settings = ConvolutionalBodyMapping.Write(options.Body);
        settings["force_upcast"] = true;
        settings["latents_mean"] = ConfigJson.List(options.LatentsMean);
        settings["latents_std"] = ConfigJson.List(options.LatentsStd);
        settings["scaling_factor"] = options.ScalingFactor;
        settings["shift_factor"] = options.ShiftFactor == 0.0 ? null : options.ShiftFactor;
        settings["use_post_quant_conv"] = options.PostQuantConvolution;
        settings["use_quant_conv"] = options.QuantConvolution;
        return ConfigJson.Of(ClassName, settings);
    }
}
