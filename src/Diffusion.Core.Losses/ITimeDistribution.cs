using Diffusion.Core.Schedules;

namespace Diffusion.Core.Losses;

/// <summary>A distribution over the times of a schedule, as the quantile function that turns an even draw into a time.</summary>
public interface ITimeDistribution
{
    /// <summary>The field's name of the distribution, such as <c>log-normal</c>.</summary>
    string Name { get; }

    /// <summary>The time below which a share <paramref name="u"/> of the draws lies.</summary>
    /// <param name="schedule">The schedule whose times are drawn.</param>
    /// <param name="u">In [0, 1].</param>
    /// <returns>A time of the schedule, growing with u; for a discrete one, an index.</returns>
    double Quantile(INoiseSchedule schedule, double u);
}
