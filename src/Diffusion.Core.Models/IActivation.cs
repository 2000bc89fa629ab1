using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The nonlinearity between two layers. The usual ones are in <see cref="Activation"/>.</summary>
public interface IActivation
{
    /// <summary>How many inputs make one output: 1, or 2 where one half gates the other.</summary>
    int InputsPerOutput => 1;

    /// <summary>The activation of a tensor.</summary>
    /// <param name="x">[..., D * <see cref="InputsPerOutput"/>]; not changed.</param>
    /// <returns>[..., D] as a new tensor; the caller's.</returns>
    Tensor Apply(Tensor x);
}
