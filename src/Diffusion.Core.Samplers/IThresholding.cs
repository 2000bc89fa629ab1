using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>Keeps a predicted x_0 within the range of the data.</summary>
public interface IThresholding
{
    /// <summary>The prediction, within range.</summary>
    /// <param name="data">[B, ...] the predicted x_0.</param>
    /// <returns>A new tensor of the same shape; the caller's.</returns>
    Tensor Apply(Tensor data);
}
