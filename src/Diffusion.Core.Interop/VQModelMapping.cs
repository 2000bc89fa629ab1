using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Interop;

/// <summary>VQModel.</summary>
internal sealed class VQModelMapping : IModelMapping
{
    public string ClassName => "VQModel";

    public nn.Module Create(ModelConfig config)
    {
        var norm = config.Text("norm_type", "group");
        return new VQModel(new VQModelOptions
        {
            Body = ConvolutionalBodyMapping.Read(config, latentChannels: 3),
            Codes = config.Whole("num_vq_embeddings", 256),
            CodeWidth = config.WholeOrNull("vq_embed_dim"),
            SpatialNorm = norm switch
            {
                "group" => false,
                "spatial" => true,
                _ => throw config.Unsupported("norm_type"),
            },
            LookupFromCodebook = config.Flag("lookup_from_codebook", false),
            ScalingFactor = config.Number("scaling_factor", 0.18215),
        });
    }

    public ModelConfig? Describe(nn.Module network)
    {
        if (network is not VQModel { Options: var options })
            return null;
        if (options.AverageDecay is not null)
            throw ConfigJson.NotThere(ClassName, nameof(options.AverageDecay), options.AverageDecay);
        var settings = ConvolutionalBodyMapping.Write(options.Body);
        settings["force_upcast"] = false;
        settings["lookup_from_codebook"] = options.LookupFromCodebook;
        settings["norm_type"] = options.SpatialNorm ? "spatial" : "group";
        settings["num_vq_embeddings"] = options.Codes;
        settings["scaling_factor"] = options.ScalingFactor;
        settings["vq_embed_dim"] = options.CodeWidth;
        return ConfigJson.Of(ClassName, settings);
    }
}
