using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>How a network writes t as a vector before it learns from it. The usual ones are in <see cref="TimeEncoding"/>.</summary>
public interface ITimeEncoding
{
    /// <summary>The width of the vector in a network whose first level has the given one.</summary>
    int Width(int firstWidth);

    /// <summary>A new module from t, [B], to [B, width], floating point of any type.</summary>
    /// <exception cref="ArgumentException">The encoding does not fit the width.</exception>
    nn.Module<Tensor, Tensor> Build(int firstWidth);
}
