using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>An elementwise distance between a prediction and its target.</summary>
public abstract class Distance
{
    /// <summary>The standard name of the distance, such as <c>l2</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Computes the distance of each element.</summary>
    /// <param name="difference">[...] the prediction minus the target. It is not modified.</param>
    /// <returns>
    /// The distances, a new tensor with the shape of <paramref name="difference"/> and with gradients. The caller must dispose the
    /// returned tensor.
    /// </returns>
    public abstract Tensor Of(Tensor difference);

    /// <summary>The squared error, <c>d^2</c> (Ho et al. 2020, eq. 14).</summary>
    public static Distance L2 { get; } = new SquaredDistance();

    /// <summary>The absolute error, <c>|d|</c>.</summary>
    public static Distance L1 { get; } = new AbsoluteDistance();

    /// <summary>
    /// Creates the Huber distance: <c>d^2 / 2</c> for |d| up to <paramref name="delta"/>, and <c>delta (|d| - delta / 2)</c> beyond
    /// (Huber 1964). This is huber_loss of PyTorch.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="delta"/> is not finite and greater than 0.</exception>
    public static Distance Huber(double delta = 1.0) => new HuberDistance(Guard.PositiveFactor(delta));

    /// <summary>
    /// Creates the pseudo-Huber distance <c>sqrt(d^2 + c^2) - c</c>, a smooth function that is about <c>d^2 / (2 c)</c> close to 0 and
    /// about <c>|d|</c> for large differences (Charbonnier et al. 1997). Song and Dhariwal 2023, section 3.3, use the norm of the
    /// whole sample instead of d.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="c"/> is not finite and greater than 0.</exception>
    public static Distance PseudoHuber(double c = 1e-3) => new PseudoHuberDistance(Guard.PositiveFactor(c));

    private sealed class SquaredDistance : Distance
    {
        public override string Name => "l2";

        public override Tensor Of(Tensor difference) => difference.mul(difference);
    }

    private sealed class AbsoluteDistance : Distance
    {
        public override string Name => "l1";

        public override Tensor Of(Tensor difference) => difference.abs();
    }

    private sealed class HuberDistance(double delta) : Distance
    {
        public override string Name => "huber";

        // With q = min(|d|, delta), both cases are q (|d| - q / 2), so that no branch is needed.
        public override Tensor Of(Tensor difference)
        {
            using var size = difference.abs();
            using var near = size.Clamp(max: delta);
            using var half = near.Mul(0.5);
            using var rest = size.sub(half);
            return near.mul(rest);
        }
    }

    private sealed class PseudoHuberDistance(double c) : Distance
    {
        public override string Name => "pseudo-huber";

        public override Tensor Of(Tensor difference)
        {
            using var square = difference.mul(difference);
            using var raised = square.Add(c * c);
            using var root = raised.sqrt();
            return root.Sub(c);
        }
    }
}
