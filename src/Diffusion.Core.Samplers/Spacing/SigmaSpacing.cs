using Diffusion.Core.Schedules;
using MathNet.Numerics;
using static TorchSharp.torch;
using BetaDistribution = MathNet.Numerics.Distributions.Beta;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Spacings that select noise levels sigma / alpha (the sigmas of k-diffusion) instead of times, for any schedule. The times of a grid are
/// those at which the schedule has these levels; on a discrete schedule they can be between indices. The final level of each grid is clean
/// data.
/// </summary>
public sealed class SigmaSpacing : TimeSpacing
{
    private readonly double? _min;
    private readonly double? _max;
    private readonly Func<int, double, double, double[]> _ratios;

    private SigmaSpacing(double? min, double? max, Func<int, double, double, double[]> ratios)
    {
        if (min is { } low)
            Guard.Positive(low, nameof(min));
        if (max is { } high)
            Guard.Positive(high, nameof(max));
        RequireOrder(min ?? 0.0, max ?? double.PositiveInfinity);
        (_min, _max, _ratios) = (min, max, ratios);
    }

    /// <summary>
    /// Creates a spacing with the levels <c>(max^(1/rho) + k / (N - 1) (min^(1/rho) - max^(1/rho)))^rho</c>, which has shorter steps at low
    /// noise levels. On an EDM schedule this is the grid of EDM.
    /// </summary>
    /// <param name="rho">The exponent; larger values place more steps near the data. The default is 7, for images.</param>
    /// <param name="min">The smallest sigma / alpha. The default is that of the schedule.</param>
    /// <param name="max">The largest sigma / alpha. The default is that of the schedule.</param>
    /// <exception cref="ArgumentException">An argument is not finite and greater than 0, or min is not less than max.</exception>
    /// <remarks>Source: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", eq. 5.</remarks>
    public static SigmaSpacing Karras(double rho = 7.0, double? min = null, double? max = null)
    {
        Guard.Positive(rho);
        return new SigmaSpacing(min, max, (steps, least, most) =>
        {
            var (low, high) = (Math.Pow(least, 1.0 / rho), Math.Pow(most, 1.0 / rho));
            return Fill(steps, share => Math.Pow(high + (share * (low - high)), rho));
        });
    }

    /// <summary>
    /// Creates a spacing with equal steps in log(sigma / alpha), that is, in log-SNR. This is the grid of DPM-Solver ("lu") and the
    /// "exponential" grid of k-diffusion.
    /// </summary>
    /// <inheritdoc cref="Karras" path="/param[@name!='rho']"/>
    /// <exception cref="ArgumentException">An argument is not finite and greater than 0, or min is not less than max.</exception>
    /// <remarks>Source: Lu et al. 2022, "DPM-Solver", section 3.3.</remarks>
    public static SigmaSpacing Exponential(double? min = null, double? max = null)
        => new SigmaSpacing(min, max, (steps, least, most) =>
        {
            var (low, high) = (Math.Log(least), Math.Log(most));
            return Fill(steps, share => Math.Exp(high + (share * (low - high))));
        });

    /// <summary>
    /// Creates a spacing with the quantiles of a Beta distribution over [min, max] of sigma / alpha. With the default parameters it has
    /// more steps at both ends.
    /// </summary>
    /// <param name="alpha">The first parameter of the distribution. The default is 0.6.</param>
    /// <param name="beta">The second parameter of the distribution. The default is 0.6.</param>
    /// <param name="min">The smallest sigma / alpha. The default is that of the schedule.</param>
    /// <param name="max">The largest sigma / alpha. The default is that of the schedule.</param>
    /// <exception cref="ArgumentException">An argument is not finite and greater than 0, or min is not less than max.</exception>
    /// <remarks>Source: Lee et al. 2024, "Beta Sampling is All You Need", section 3.3.</remarks>
    public static SigmaSpacing Beta(double alpha = 0.6, double beta = 0.6, double? min = null, double? max = null)
    {
        Guard.Positive(alpha);
        Guard.Positive(beta);
        return new SigmaSpacing(min, max, (steps, least, most) => Fill(steps, share => least + (Quantile(1.0 - share) * (most - least))));

        double Quantile(double p) => p is 0.0 or 1.0 ? p : BetaDistribution.InvCDF(alpha, beta, p);
    }

    /// <summary>
    /// Creates a spacing from a table of levels for one number of steps. For another number of steps, the table is interpolated linearly in
    /// log(sigma / alpha), at equally spaced positions.
    /// </summary>
    /// <param name="ratios">At least two values of sigma / alpha, finite, greater than 0 and decreasing, without the final zero.</param>
    /// <exception cref="ArgumentException">
    /// A value is not finite and greater than 0, the values do not decrease, or there are fewer than two.
    /// </exception>
    /// <remarks>Source: Sabour et al. 2024, "Align Your Steps", section 4; see <see cref="AlignYourSteps"/> for its tables.</remarks>
    public static SigmaSpacing Tabulated(params ReadOnlySpan<double> ratios)
    {
        if (ratios.Length < 2)
            throw new ArgumentException($"A table needs at least two levels, got {ratios.Length}.", nameof(ratios));
        for (var i = 0; i < ratios.Length; i++)
        {
            Guard.Positive(ratios[i], nameof(ratios));
            if (i > 0 && ratios[i] >= ratios[i - 1])
                throw new ArgumentException(
                    Invariant($"The levels must decrease, got {ratios[i - 1]} before {ratios[i]}."), nameof(ratios));
        }

        var positions = Generate.LinearSpaced(ratios.Length, 0.0, 1.0);
        var line = MathNet.Numerics.Interpolation.LinearSpline.InterpolateSorted(positions, Logarithms(ratios));
        return new SigmaSpacing(ratios[^1], ratios[0], (steps, _, _) => Fill(steps, share => Math.Exp(line.Interpolate(share))));
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// <paramref name="steps"/> is less than 1, a level is outside the schedule, or the schedule begins without noise or ends without
    /// signal and no min or max was specified for that end.
    /// </exception>
    public override TimeGrid CreateGrid(INoiseSchedule schedule, int steps)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        var least = _min ?? schedule.LevelAt(schedule.MinTime).NoiseToSignalRatio;
        var most = _max ?? schedule.LevelAt(schedule.MaxTime).NoiseToSignalRatio;
        if (!(least > 0.0 && double.IsFinite(most)))
            throw new ArgumentException(
                Invariant($"Sigma / alpha of this schedule ranges from {least} to {most}: specify a min above 0 and a finite max."),
                nameof(schedule));
        return TimeGrid.FromSigmas(schedule, Ratios(steps, least, most));
    }

    /// <summary>
    /// Returns the levels without a grid: N values of sigma / alpha from <paramref name="max"/> to <paramref name="min"/>. A single step
    /// has the level max. A spacing of <see cref="Tabulated"/> returns the levels of its table, regardless of min and max.
    /// </summary>
    /// <exception cref="ArgumentException"><paramref name="steps"/> is less than 1, or min is not less than max.</exception>
    public double[] Ratios(int steps, double min, double max)
    {
        Guard.InRange(steps, 1, int.MaxValue);
        RequireOrder(Guard.Positive(min), Guard.Positive(max));
        return _ratios(steps, min, max);
    }

    private static double[] Logarithms(ReadOnlySpan<double> values)
    {
        var result = new double[values.Length];
        for (var i = 0; i < result.Length; i++)
            result[i] = Math.Log(values[i]);
        return result;
    }

    /// <summary>Returns the values at k / (N - 1). A single step has the value at 0.</summary>
    private static double[] Fill(int steps, Func<double, double> value)
    {
        var values = new double[steps];
        for (var k = 0; k < steps; k++)
            values[k] = value(steps == 1 ? 0.0 : (double)k / (steps - 1));
        return values;
    }

    private static void RequireOrder(double min, double max)
    {
        if (!(min < max))
            throw new ArgumentException(
                Invariant($"The least sigma / alpha must be less than the greatest, got {min} and {max}."), nameof(min));
    }
}

/// <summary>Interpolation between samples by interpolation of the noise from which they are generated.</summary>
public static class Interpolation
{
    /// <summary>
    /// Interpolates each sample spherically: <c>sin((1 - w) theta) / sin(theta) a + sin(w theta) / sin(theta) b</c>, where theta is the
    /// angle between the two. Unlike linear interpolation, it approximately preserves the norm of Gaussian noise.
    /// </summary>
    /// <param name="first">[B, ...] a, the result for w = 0.</param>
    /// <param name="second">b, the result for w = 1, with the shape and type of <paramref name="first"/>.</param>
    /// <param name="weight">w, from 0 to 1.</param>
    /// <returns>
    /// A tensor with the shape of <paramref name="first"/>. If two samples are nearly parallel, the interpolation is linear. The caller
    /// must dispose the tensor.
    /// </returns>
    /// <exception cref="ArgumentException">The shapes or types differ, or the weight is outside [0, 1].</exception>
    /// <remarks>Source: Shoemake 1985; Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", appendix D.5.</remarks>
    public static Tensor Spherical(Tensor first, Tensor second, double weight)
    {
        Guard.SameShape(first, second);
        Guard.SameType(first, second);
        Guard.Floating(first);
        Guard.InRange(weight, 0.0, 1.0);
        if (first.dim() == 0)
            throw new ArgumentException("Samples must have a batch dimension, got a scalar.", nameof(first));
        using var scope = NewDisposeScope();
        var (a, b) = (first.reshape(first.shape[0], -1), second.reshape(second.shape[0], -1));
        var lengths = a.mul(a).sum(1L).mul_(b.mul(b).sum(1L)).sqrt().ClampMin(1e-30);
        var cosine = a.mul(b).sum(1L).div_(lengths).Clamp(-1.0, 1.0);

        // For nearly parallel samples the sines lose precision, and linear interpolation is as accurate.
        var straight = cosine.abs().Gt(1.0 - 1e-6);
        var angle = cosine.MaskedFill(straight, 0.5).acos();
        var sine = angle.sin();
        var weightOfFirst = where(straight, angle.FullLike(1.0 - weight), angle.Mul(1.0 - weight).sin().div_(sine));
        var weightOfSecond = where(straight, angle.FullLike(weight), angle.Mul(weight).sin().div_(sine));
        return a.mul(weightOfFirst.unsqueeze(1)).Add_(b.mul(weightOfSecond.unsqueeze(1))).reshape(first.shape).MoveToOuterDisposeScope();
    }
}

/// <summary>
/// The grid and the process of iPNDM. alpha and sigma are the cosine and the sine of <c>pi t / 2</c>, and the times are chosen such that
/// <c>sigma = sin^2(pi u / 2)</c>, where u decreases in equal steps from 1 to 0. The grid starts without signal and ends without noise.
/// </summary>
/// <remarks>Source: the schedule and spacing of diffusers' IPNDMScheduler, after Crowson's k-diffusion and v-diffusion.</remarks>
public static class IpndmGrid
{
    /// <summary>The schedule of the process, for t from 0 (data) to 1 (noise), both inclusive.</summary>
    public static INoiseSchedule Schedule { get; } = new QuarterCircle();

    /// <summary>Creates a grid of N steps from t = 1 to t = 0.</summary>
    /// <param name="steps">N, the number of steps, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="steps"/> is less than 1.</exception>
    public static TimeGrid Create(int steps)
    {
        Guard.InRange(steps, 1, int.MaxValue);
        var times = new double[steps];
        for (var k = 0; k < steps; k++)
        {
            var sine = Math.Sin(Math.PI / 2.0 * (1.0 - ((double)k / steps)));
            times[k] = Math.Asin(sine * sine) * 2.0 / Math.PI;
        }

        return new TimeGrid(Schedule, times);
    }

    private sealed class QuarterCircle : INoiseSchedule
    {
        public double MinTime => 0.0;

        public double MaxTime => 1.0;

        // Both are computed with the sine, so that alpha is exactly 0 at t = 1 and sigma is exactly 0 at t = 0.
        public NoiseLevel LevelAt(double t)
        {
            Guard.InRange(t, MinTime, MaxTime);
            return new NoiseLevel(Math.Sin(Math.PI / 2.0 * (1.0 - t)), Math.Sin(Math.PI / 2.0 * t));
        }
    }
}
