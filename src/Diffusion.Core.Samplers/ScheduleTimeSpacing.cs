using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Spacings over the time of any schedule, continuous or discrete, from its last time to its first; on a discrete schedule the times lie
/// between indices. Each ends without noise.
/// </summary>
public static class ScheduleTimeSpacing
{
    /// <summary>
    /// Equal steps of time. On a variance preserving schedule this is k-diffusion's "vp" grid (with its eps as <paramref name="first"/>);
    /// on a straight line, that of flow matching.
    /// </summary>
    /// <param name="first">The time of the last step's start, above the schedule's first; without it, one whole step above that.</param>
    /// <remarks>
    /// Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations", appendix C.
    /// </remarks>
    public static ITimeSpacing Uniform(double? first = null) => new Spacing(first, share => share);

    /// <summary>Equal steps of the square root of time: shorter ones near the data (DDIM's "quad").</summary>
    /// <inheritdoc cref="Uniform" path="/param"/>
    /// <remarks>Source: Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", appendix D.2.</remarks>
    public static ITimeSpacing Quadratic(double? first = null) => new Spacing(first, share => share * share);

    /// <summary>
    /// Equal steps of time on a straight line, moved towards noise: <c>t' = shift t / (1 + (shift - 1) t)</c>, t a share of time.
    /// </summary>
    /// <param name="shift">Finite and greater than 0; 1 changes nothing, 3 is usual for large images.</param>
    /// <param name="first">The time of the last step's start; without it, one whole step above the schedule's first.</param>
    /// <exception cref="ArgumentOutOfRangeException">The shift is not finite and greater than 0.</exception>
    /// <remarks>Source: Esser et al. 2024, "Scaling Rectified Flow Transformers", eq. 23.</remarks>
    public static ITimeSpacing Shifted(double shift, double? first = null)
    {
        Guard.Positive(shift);
        return new Spacing(first, share => shift * share / (1.0 + ((shift - 1.0) * share)));
    }

    /// <summary>Shares of time from 1 downwards, bent by a rising function of [0, 1] onto itself.</summary>
    private sealed class Spacing(double? first, Func<double, double> bend) : ITimeSpacing
    {
        public TimeGrid CreateGrid(INoiseSchedule schedule, int steps)
        {
            ArgumentNullException.ThrowIfNull(schedule);
            Guard.InRange(steps, 1, int.MaxValue);
            var (start, span) = (schedule.MinTime, schedule.MaxTime - schedule.MinTime);
            if (first is { } given)
                Guard.InRange(given, schedule.MinTime, schedule.MaxTime, nameof(first));
            var times = new double[steps];
            for (var k = 0; k < steps; k++)
            {
                var share = first is null ? 1.0 - ((double)k / steps) : steps == 1 ? 1.0 : 1.0 - ((double)k / (steps - 1));
                var bent = bend(share);
                times[k] = first is { } last ? last + ((schedule.MaxTime - last) * bent) : start + (span * bent);
            }

            return new TimeGrid(schedule, times);
        }
    }
}
