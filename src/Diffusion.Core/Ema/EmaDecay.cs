using System.Globalization;
using MathNet.Numerics;

namespace Diffusion.Core;

/// <summary>The decay of an exponential moving average (EMA) of the weights, as a function of the step.</summary>
public abstract class EmaDecay
{
    /// <summary>Returns the decay d of the update <c>average = d average + (1 - d) weights</c> after a step.</summary>
    /// <param name="step">The number of the step: 1 for the first.</param>
    /// <returns>The decay, in [0, 1].</returns>
    public abstract double At(long step);

    /// <summary>Returns a decay that is the same for all steps.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The decay is not in [0, 1).</exception>
    public static EmaDecay Constant(double decay)
    {
        Require(decay);
        return new Function($"constant {Text(decay)}", _ => decay);
    }

    /// <summary>
    /// Returns the decay <c>min(decay, (1 + step) / (10 + step))</c>: the average covers about the last tenth of the run until
    /// <paramref name="decay"/> is reached (the warm-up of TensorFlow's moving average).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The decay is not in [0, 1).</exception>
    public static EmaDecay WarmUp(double decay = 0.9999)
    {
        Require(decay);
        return new Function($"warm-up to {Text(decay)}", step => Math.Min(decay, (1.0 + step) / (10.0 + step)));
    }

    /// <summary>
    /// Returns the decay <c>min(decay, 1 - (1 + step)^-power)</c>. A power of 2/3 suits long runs (0.999 at step 31,622), and 3/4 short
    /// runs.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The power is not in (0, 1], or the decay is not in [0, 1).</exception>
    public static EmaDecay Power(double power = 2.0 / 3.0, double decay = 0.9999)
    {
        Guard.InRange(power, double.Epsilon, 1.0);
        Require(decay);
        return new Function(
            $"power {Text(power)} up to {Text(decay)}", step => Math.Min(decay, 1.0 - Math.Pow(1.0 + step, -power)));
    }

    /// <summary>
    /// Returns the power-function decay of EDM2, with which an average covers the same share of a run of any length. Averages of other
    /// widths can be reconstructed from two of them after training.
    /// </summary>
    /// <param name="relativeStandardDeviation">The width of the averaging profile as a share of the run, typically 0.05 to 0.15.</param>
    /// <exception cref="ArgumentOutOfRangeException">The width is not in [0.0001, 0.288].</exception>
    public static EmaDecay PowerFunction(double relativeStandardDeviation = 0.10) => new PowerFunctionDecay(relativeStandardDeviation);

    private static void Require(double decay) => Guard.InRange(decay, 0.0, Math.BitDecrement(1.0));

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);

    private sealed class Function(string name, Func<long, double> decay) : EmaDecay
    {
        public override string ToString() => name;

        public override double At(long step)
        {
            Guard.InRange(step, 1, long.MaxValue);
            return decay(step);
        }
    }
}

/// <summary>
/// The decay <c>(1 - 1/step)^(gamma + 1)</c>: the weights of step i contribute to the average in proportion to i^gamma, so that it covers
/// the same share of a run of any length.
/// </summary>
/// <remarks>
/// Source: Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models", section 3.1.
/// <see cref="EmaSnapshots"/> stores averages of this kind, from which <see cref="PostHocEma"/> reconstructs others.
/// </remarks>
public sealed class PowerFunctionDecay : EmaDecay
{
    /// <summary>The width at which gamma is 0. There is no gamma for a wider profile.</summary>
    private static readonly double Widest = 1.0 / Math.Sqrt(12.0);

    /// <summary>Initializes a new instance of the <see cref="PowerFunctionDecay"/> class from the width of its profile.</summary>
    /// <param name="relativeStandardDeviation">
    /// The standard deviation of the steps in the average, weighted by their contributions, as a share of the length of the run. It is
    /// typically 0.05 to 0.15.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The width is not in [0.0001, 0.288].</exception>
    public PowerFunctionDecay(double relativeStandardDeviation)
    {
        Guard.InRange(relativeStandardDeviation, 1e-4, Widest);
        RelativeStandardDeviation = relativeStandardDeviation;

        // Gamma is the greatest root of (gamma + 2)^2 (gamma + 3) = (gamma + 1) / deviation^2 (appendix C).
        var t = 1.0 / (relativeStandardDeviation * relativeStandardDeviation);
        var (a, b, c) = FindRoots.Cubic(12.0 - t, 16.0 - t, 7.0, 1.0);
        Gamma = Math.Max(0.0, Math.Max(a.Real, Math.Max(b.Real, c.Real)));
    }

    /// <summary>The width of the profile, as a share of the length of the run.</summary>
    public double RelativeStandardDeviation { get; }

    /// <summary>The exponent gamma of the profile: step i contributes in proportion to i^gamma.</summary>
    public double Gamma { get; }

    /// <summary>Returns the name of the decay with its width.</summary>
    public override string ToString()
        => string.Create(CultureInfo.InvariantCulture, $"power function of width {RelativeStandardDeviation}");

    /// <inheritdoc/>
    public override double At(long step)
    {
        Guard.InRange(step, 1, long.MaxValue);
        return Math.Pow(1.0 - (1.0 / step), Gamma + 1.0);
    }

    /// <summary>
    /// Returns the integral of the product of two profiles, each of which has the integral 1 (algorithm 3 of the paper). It measures the
    /// similarity of two averages.
    /// </summary>
    /// <param name="step">The number of steps in this average.</param>
    /// <param name="other">The decay of the other average.</param>
    /// <param name="otherStep">The number of steps in the other average.</param>
    internal double Overlap(long step, PowerFunctionDecay other, long otherStep)
    {
        var (shorter, longer, exponent) = step < otherStep ? (step, otherStep, other.Gamma) : (otherStep, step, Gamma);
        return (Gamma + 1.0) * (other.Gamma + 1.0) * Math.Pow((double)shorter / longer, exponent) / ((Gamma + other.Gamma + 1.0) * longer);
    }
}
