using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>The distribution of the steps of a sampler over a schedule.</summary>
public abstract class TimeSpacing
{
    /// <summary>Creates a grid of exactly <paramref name="steps"/> times.</summary>
    /// <exception cref="ArgumentException">
    /// The number of steps is less than 1 or greater than that of the schedule, or the spacing does not support the schedule.
    /// </exception>
    public abstract TimeGrid CreateGrid(INoiseSchedule schedule, int steps);

    /// <summary>
    /// <see cref="Trailing"/> on a <see cref="DiscreteSchedule"/>, and <see cref="ScheduleTimeSpacing.Uniform"/> on any other schedule. The
    /// default of every sampler.
    /// </summary>
    public static TimeSpacing Default { get; } = new BySchedule();

    /// <summary>
    /// <c>round(T - k T / N) - 1</c>: starts at the last index, which has the highest noise level of the schedule.
    /// </summary>
    public static TimeSpacing Trailing { get; } = new Spacing(TrailingIndices);

    /// <summary>
    /// The spacing with N equally spaced, rounded indices from T - 1 to 0, both inclusive. A single step starts at T - 1.
    /// </summary>
    public static TimeSpacing Linspace { get; } = new Spacing(LinspaceIndices);

    /// <summary>
    /// Creates a spacing with the indices <c>(T div N) k + offset</c>, from the largest k to 0. It usually does not visit the last index,
    /// so that sampling starts from pure noise at a level that should still contain signal. Use it if the configuration of a model
    /// specifies it.
    /// </summary>
    /// <param name="offset">
    /// The number added to every index, at least 0. The default is 0. <see cref="CreateGrid"/> throws if an index exceeds T - 1.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The offset is negative.</exception>
    public static TimeSpacing Leading(int offset = 0)
    {
        Guard.InRange(offset, 0, int.MaxValue);
        return new Spacing((total, steps) => LeadingIndices(total, steps, offset));
    }

    private sealed class BySchedule : TimeSpacing
    {
        public override TimeGrid CreateGrid(INoiseSchedule schedule, int steps)
            => (schedule is DiscreteSchedule ? Trailing : ScheduleTimeSpacing.Uniform()).CreateGrid(schedule, steps);
    }

    private static double[] TrailingIndices(int total, int steps)
    {
        // The increment is computed as in numpy's arange, so that ties are rounded in the same way.
        var ratio = (double)total / steps;
        var increment = total - ratio - total;
        return Fill(steps, k => Math.Round(total + (k * increment), MidpointRounding.ToEven) - 1.0);
    }

    private static double[] LinspaceIndices(int total, int steps)
    {
        if (steps == 1)
            return [total - 1.0];
        var increment = (total - 1.0) / (steps - 1);
        return Fill(steps, k => k == 0 ? total - 1.0 : Math.Round((steps - 1 - k) * increment, MidpointRounding.ToEven));
    }

    private static double[] LeadingIndices(int total, int steps, int offset)
    {
        var ratio = total / steps;
        var first = ((long)ratio * (steps - 1)) + offset;
        if (first > total - 1)
            throw new ArgumentException(
                Invariant($"Leading spacing with offset {offset} and {steps} steps starts at index {first}, but the last index ")
                + "of the schedule is "
                + Invariant($"{total - 1}; use fewer steps or an offset of at most {total - 1 - (ratio * (steps - 1))}."),
                nameof(offset));
        return Fill(steps, k => ((double)ratio * (steps - 1 - k)) + offset);
    }

    private static double[] Fill(int steps, Func<int, double> time)
    {
        var times = new double[steps];
        for (var k = 0; k < steps; k++)
            times[k] = time(k);
        return times;
    }

    private sealed class Spacing(Func<int, int, double[]> indices) : TimeSpacing
    {
        public override TimeGrid CreateGrid(INoiseSchedule schedule, int steps)
        {
            ArgumentNullException.ThrowIfNull(schedule);
            if (schedule is not DiscreteSchedule discrete)
                throw new ArgumentException(
                    $"Leading, trailing and linspace spacings need the indices of a {nameof(DiscreteSchedule)}, got {schedule.GetType().Name}; "
                    + $"use {nameof(ScheduleTimeSpacing)}.{nameof(ScheduleTimeSpacing.Uniform)}, which is the default there, or a custom "
                    + $"{nameof(TimeGrid)}.",
                    nameof(schedule));
            if (steps < 1 || steps > discrete.Steps)
                throw new ArgumentOutOfRangeException(
                    nameof(steps), steps, $"The number of sampling steps must lie in [1, {discrete.Steps}], the steps of the schedule, got {steps}.");
            return new TimeGrid(discrete, indices(discrete.Steps, steps));
        }
    }
}

/// <summary>
/// Spacings over the time of any schedule, continuous or discrete, from its last time to its first. On a discrete schedule the times can be
/// between indices. The final level of each grid is clean data.
/// </summary>
public static class ScheduleTimeSpacing
{
    /// <summary>
    /// Creates a spacing with equal steps in time. On a variance-preserving schedule this is the "vp" grid of k-diffusion, with its eps as
    /// <paramref name="first"/>; for rectified flow it is the grid of flow matching.
    /// </summary>
    /// <param name="first">
    /// The time at which the last step starts, within the schedule. The default is one step after the first time of the schedule.
    /// </param>
    /// <remarks>
    /// Source: Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations", appendix C.
    /// </remarks>
    public static TimeSpacing Uniform(double? first = null) => new Spacing(first, share => share);

    /// <summary>Creates a spacing with equal steps in the square root of time, which are shorter near the data (DDIM's "quad").</summary>
    /// <inheritdoc cref="Uniform" path="/param"/>
    /// <remarks>Source: Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", appendix D.2.</remarks>
    public static TimeSpacing Quadratic(double? first = null) => new Spacing(first, share => share * share);

    /// <summary>
    /// Creates a spacing with equal steps in time for rectified flow, shifted towards noise: <c>t' = shift t / (1 + (shift - 1) t)</c>,
    /// where t is a fraction of the time range.
    /// </summary>
    /// <param name="shift">The shift, finite and greater than 0. 1 is no shift; 3 is common for large images.</param>
    /// <param name="first">
    /// The time at which the last step starts, within the schedule. The default is one step after the first time of the schedule.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The shift is not finite and greater than 0.</exception>
    /// <remarks>Source: Esser et al. 2024, "Scaling Rectified Flow Transformers", eq. 23.</remarks>
    public static TimeSpacing Shifted(double shift, double? first = null)
    {
        Guard.Positive(shift);
        return new Spacing(first, share => shift * share / (1.0 + ((shift - 1.0) * share)));
    }

    /// <summary>Maps decreasing fractions of the time range by an increasing function of [0, 1] onto itself.</summary>
    private sealed class Spacing(double? first, Func<double, double> bend) : TimeSpacing
    {
        public override TimeGrid CreateGrid(INoiseSchedule schedule, int steps)
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

/// <summary>
/// The tables of Align Your Steps: levels optimised for ten steps of a family of models, and interpolated to any number of steps.
/// </summary>
/// <remarks>
/// Source: Sabour, Fidler and Kreis 2024, "Align Your Steps: Optimizing Sampling Schedules in Diffusion Models", appendix.
/// </remarks>
public static class AlignYourSteps
{
    /// <summary>The levels for Stable Diffusion 1.5.</summary>
    public static SigmaSpacing StableDiffusion15 { get; } =
        SigmaSpacing.Tabulated(14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152);

    /// <summary>The levels for Stable Diffusion XL.</summary>
    public static SigmaSpacing StableDiffusionXL { get; } =
        SigmaSpacing.Tabulated(14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113);

    /// <summary>The levels for Stable Video Diffusion, an EDM model.</summary>
    public static SigmaSpacing StableVideoDiffusion { get; } =
        SigmaSpacing.Tabulated(700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034);
}
