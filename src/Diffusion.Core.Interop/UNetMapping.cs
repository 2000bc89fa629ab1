using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Interop;

/// <summary>UNet2DModel, or UNet2DConditionModel, whose levels attend to text.</summary>
internal sealed class UNetMapping(bool isConditional) : IModelMapping
{
    public const string Plain = "UNet2DModel";
    public const string Conditional = "UNet2DConditionModel";

    public string ClassName => isConditional ? Conditional : Plain;

    public nn.Module Create(ModelConfig config) => new UNet(new UNetConfigReader(config, isConditional).Options());

    public ModelConfig? Describe(nn.Module network)
    {
        if (network is not UNet unet)
            return null;
        var writer = new UNetConfigWriter(unet.Options);
        return writer.IsConditional == isConditional ? writer.Config() : null;
    }
}
