using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>The right-hand side of an ordinary differential equation, <c>dy/ds = f(s, y)</c>.</summary>
/// <param name="s">Where.</param>
/// <param name="y">[B, ...] the state; not to be changed.</param>
/// <returns>The shape and type of <paramref name="y"/>, and always a new tensor; the caller's.</returns>
public delegate Tensor OdeFunction(double s, Tensor y);

/// <summary>A method for ordinary differential equations over tensors. Holds no state: same call, same answer.</summary>
public interface IOdeSolver
{
    /// <summary>The solution at <paramref name="to"/> of the equation that starts at <paramref name="from"/>.</summary>
    /// <param name="function">The right-hand side.</param>
    /// <param name="y">[B, ...] the state at the start, floating point; not changed.</param>
    /// <param name="from">Where it starts, finite.</param>
    /// <param name="to">Where it ends, finite; on either side of the start.</param>
    /// <param name="cancellationToken">Looked at before each step.</param>
    /// <returns>The shape and type of <paramref name="y"/>; the caller's.</returns>
    /// <exception cref="ArgumentException">A number is not finite, or the function answers with another shape or type.</exception>
    Tensor Integrate(OdeFunction function, Tensor y, double from, double to, CancellationToken cancellationToken = default);
}
