using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The spacings of the literature over the T indices of a <see cref="DiscreteSchedule"/>, for any number of steps N from 1 to T. Each
/// gives N different indices in falling order, and ends without noise.
/// </summary>
/// <remarks>
/// Source: Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", table 2. Ties are rounded to even, as
/// numpy does, so that grids equal those of the reference implementation.
/// </remarks>
public static class TimeSpacing
{
    /// <summary>
    /// <c>round(T - k T / N) - 1</c>: starts at the last index, where training ends in pure noise. The default of every sampler here.
    /// </summary>
    public static ITimeSpacing Trailing { get; } = new Spacing(TrailingIndices);

    /// <summary>
    /// N indices from T - 1 to 0, both included, rounded; a single step starts at T - 1.
    /// </summary>
    public static ITimeSpacing Linspace { get; } = new Spacing(LinspaceIndices);

    /// <summary>
    /// <c>(T div N) k + offset</c>, from the highest k to 0. Never visits the last index unless the offset leads there, so sampling starts
    /// from noise at a level that still holds signal; use it where a model's own configuration says so.
    /// </summary>
    /// <param name="offset">Added to every index, at least 0. A grid that it pushes beyond T - 1 is refused.</param>
    /// <exception cref="ArgumentOutOfRangeException">The offset is negative.</exception>
    public static ITimeSpacing Leading(int offset = 0)
    {
        Guard.InRange(offset, 0, int.MaxValue);
        return new Spacing((total, steps) => LeadingIndices(total, steps, offset));
    }

    private static double[] TrailingIndices(int total, int steps)
    {
        // The increment as numpy's arange forms it, so that ties fall the same way.
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
                $"Leading spacing with offset {offset} and {steps} steps starts at index {first}, but the last index of the schedule is "
                + $"{total - 1}; use fewer steps or an offset of at most {total - 1 - (ratio * (steps - 1))}.",
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

    private sealed class Spacing(Func<int, int, double[]> indices) : ITimeSpacing
    {
        public TimeGrid CreateGrid(INoiseSchedule schedule, int steps)
        {
            ArgumentNullException.ThrowIfNull(schedule);
            if (schedule is not DiscreteSchedule discrete)
                throw new ArgumentException(
                    $"Leading, trailing and linspace spacings need the indices of a {nameof(DiscreteSchedule)}, got {schedule.GetType().Name}; "
                    + $"use {nameof(DiscreteSchedule)}.{nameof(DiscreteSchedule.Discretise)} or a {nameof(TimeGrid)} of your own.",
                    nameof(schedule));
            if (steps < 1 || steps > discrete.Steps)
                throw new ArgumentOutOfRangeException(
                    nameof(steps), steps, $"The number of sampling steps must lie in [1, {discrete.Steps}], the steps of the schedule, got {steps}.");
            return new TimeGrid(discrete, indices(discrete.Steps, steps));
        }
    }
}
