using MathNet.Numerics;

namespace Diffusion.Core;

/// <summary>How much of an exponential moving average of the weights survives one step, as a function of that step.</summary>
public abstract class EmaDecay
{
    /// <summary>The d of <c>average = d average + (1 - d) weights</c>, taken after a step.</summary>
    /// <param name="step">The number of steps up to and including that one: 1 for the first.</param>
    /// <returns>In [0, 1].</returns>
    public abstract double At(long step);

    /// <summary>The same decay from the first step on.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The decay is not in [0, 1).</exception>
    public static EmaDecay Constant(double decay)
    {
        Require(decay);
        return new Function(_ => decay);
    }

    /// <summary>
    /// <c>min(decay, (1 + step) / (10 + step))</c>: the average covers about the last tenth of a run, until it is as slow as it may be
    /// (the warm-up of TensorFlow's moving average).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The decay is not in [0, 1).</exception>
    public static EmaDecay WarmUp(double decay = 0.9999)
    {
        Require(decay);
        return new Function(step => Math.Min(decay, (1.0 + step) / (10.0 + step)));
    }

    /// <summary>
    /// <c>min(decay, 1 - (1 + step)^-power)</c>. A power of 2/3 suits long runs (0.999 at step 31,622), 3/4 short ones.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The power is not in (0, 1], or the decay not in [0, 1).</exception>
    public static EmaDecay Power(double power = 2.0 / 3.0, double decay = 0.9999)
    {
        Guard.InRange(power, double.Epsilon, 1.0);
        Require(decay);
        return new Function(step => Math.Min(decay, 1.0 - Math.Pow(1.0 + step, -power)));
    }

    /// <summary>
    /// An average over the same share of a run however long that is, as in EDM2; other widths can be made of two afterwards.
    /// </summary>
    /// <param name="relativeStandardDeviation">The width of its profile as a share of the run: 0.05 to 0.15 usually.</param>
    /// <exception cref="ArgumentOutOfRangeException">The width is not in (0, 0.288].</exception>
    public static EmaDecay PowerFunction(double relativeStandardDeviation = 0.10) => new PowerFunctionDecay(relativeStandardDeviation);

    private static void Require(double decay) => Guard.InRange(decay, 0.0, Math.BitDecrement(1.0));

    private sealed class Function(Func<long, double> decay) : EmaDecay
    {
        public override double At(long step)
        {
            Guard.InRange(step, 1, long.MaxValue);
            return decay(step);
        }
    }
}

/// <summary>
/// The decay <c>(1 - 1/step)^(gamma + 1)</c>: the average weighs the weights of step i in proportion to i^gamma, and so covers the same
/// share of a run however long that is.
/// </summary>
/// <remarks>
/// Source: Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models", section 3.1. Averages of this kind are
/// what <see cref="EmaSnapshots"/> stores and <see cref="PostHocEma"/> makes others of.
/// </remarks>
public sealed class PowerFunctionDecay : EmaDecay
{
    /// <summary>The width at which gamma is 0; a wider profile has none.</summary>
    private static readonly double Widest = 1.0 / Math.Sqrt(12.0);

    /// <summary>A decay by the width of its profile.</summary>
    /// <param name="relativeStandardDeviation">
    /// The standard deviation of the steps that enter the average, by their weights, as a share of the length of the run: 0.05 to 0.15
    /// usually.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">It is not in (0, 0.288].</exception>
    public PowerFunctionDecay(double relativeStandardDeviation)
    {
        Guard.InRange(relativeStandardDeviation, 1e-4, Widest);
        RelativeStandardDeviation = relativeStandardDeviation;

        // (gamma + 2)^2 (gamma + 3) = (gamma + 1) / deviation^2, of whose roots the greatest is meant (appendix C).
        var t = 1.0 / (relativeStandardDeviation * relativeStandardDeviation);
        var (a, b, c) = FindRoots.Cubic(12.0 - t, 16.0 - t, 7.0, 1.0);
        Gamma = Math.Max(0.0, Math.Max(a.Real, Math.Max(b.Real, c.Real)));
    }

    /// <summary>The width of the profile, as a share of the length of the run.</summary>
    public double RelativeStandardDeviation { get; }

    /// <summary>The power with which the weight of a step grows.</summary>
    public double Gamma { get; }

    /// <inheritdoc/>
    public override double At(long step)
    {
        Guard.InRange(step, 1, long.MaxValue);
        return Math.Pow(1.0 - (1.0 / step), Gamma + 1.0);
    }

    /// <summary>
    /// The integral of the product of two profiles, each of which has the integral 1 (algorithm 3 of the paper): how alike two averages
    /// are.
    /// </summary>
    /// <param name="step">Steps that this average has seen.</param>
    /// <param name="other">Another.</param>
    /// <param name="otherStep">Steps that the other has seen.</param>
    internal double Overlap(long step, PowerFunctionDecay other, long otherStep)
    {
        var (shorter, longer, exponent) = step < otherStep ? (step, otherStep, other.Gamma) : (otherStep, step, Gamma);
        return (Gamma + 1.0) * (other.Gamma + 1.0) * Math.Pow((double)shorter / longer, exponent) / ((Gamma + other.Gamma + 1.0) * longer);
    }
}
