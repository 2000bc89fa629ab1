namespace Diffusion.Core;

/// <summary>The usual decays of averaged weights.</summary>
/// <remarks>
/// <see cref="WarmUp"/>, the default, suits runs of any length that are long enough for its decay: 0.9999 averages over ten thousand steps.
/// <see cref="Power"/> forgets the start more slowly. <see cref="Constant"/> is for comparing with papers; it remembers its start for
/// about <c>5 / (1 - decay)</c> steps. <see cref="PowerFunction"/> is for tuning: keep two, at 0.05 and 0.10, with
/// <see cref="AverageSnapshots"/>, and find the best width after training.
/// </remarks>
public static class EmaDecay
{
    /// <summary>The same decay from the first step on.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The decay is not in [0, 1).</exception>
    public static IEmaDecay Constant(double decay)
    {
        Require(decay);
        return new Function(_ => decay);
    }

    /// <summary>
    /// <c>min(decay, (1 + step) / (10 + step))</c>: the average covers about the last tenth of a run, until it is as slow as it may be
    /// (the warm-up of TensorFlow's moving average).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The decay is not in [0, 1).</exception>
    public static IEmaDecay WarmUp(double decay = 0.9999)
    {
        Require(decay);
        return new Function(step => Math.Min(decay, (1.0 + step) / (10.0 + step)));
    }

    /// <summary>
    /// <c>min(decay, 1 - (1 + step)^-power)</c>. A power of 2/3 suits long runs (0.999 at step 31,622), 3/4 short ones.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The power is not in (0, 1], or the decay not in [0, 1).</exception>
    public static IEmaDecay Power(double power = 2.0 / 3.0, double decay = 0.9999)
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
    public static IEmaDecay PowerFunction(double relativeStandardDeviation = 0.10) => new PowerFunctionDecay(relativeStandardDeviation);

    private static void Require(double decay) => Guard.InRange(decay, 0.0, Math.BitDecrement(1.0));

    private sealed class Function(Func<long, double> decay) : IEmaDecay
    {
        public double At(long step)
        {
            Guard.InRange(step, 1, long.MaxValue);
            return decay(step);
        }
    }
}
