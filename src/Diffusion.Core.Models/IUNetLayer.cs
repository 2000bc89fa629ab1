using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A layer of a U-Net, such as a residual block or an attention: a module that also implements this.</summary>
public interface IUNetLayer
{
    /// <summary>The image after the layer.</summary>
    /// <param name="x">[B, C, ...]; not disposed here.</param>
    /// <param name="context">What the whole network is told.</param>
    /// <returns>[B, C', ...] as a new tensor; the caller's.</returns>
    Tensor Forward(Tensor x, UNetContext context);
}
