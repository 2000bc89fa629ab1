using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Testing;

/// <summary>
/// A custom continuous schedule, whose time is log(sigma / alpha), from .05 to 10 in sigma / alpha: the range of the table of
/// convergence orders. Variance preserving, or exploding with alpha 1.
/// </summary>
public sealed class LogSigmaSchedule(bool preservesVariance) : INoiseSchedule
{
    public double MinTime => Math.Log(0.05) - 1e-9;

    public double MaxTime => Math.Log(10.0) + 1e-9;

    public NoiseLevel LevelAt(double t)
    {
        var alpha = preservesVariance ? 1.0 / Math.Sqrt(1.0 + Math.Exp(2.0 * t)) : 1.0;
        return new NoiseLevel(alpha, Math.Exp(t) * alpha);
    }

    /// <summary>N steps from sigma 10 to .05, equally spaced in log sigma; the last one ends at .05.</summary>
    public TimeGrid Grid(int steps)
    {
        var (first, last) = (Math.Log(10.0), Math.Log(0.05));
        var times = new double[steps];
        for (var k = 0; k < steps; k++)
            times[k] = first + ((last - first) * k / steps);
        return new TimeGrid(this, times, LevelAt(last));
    }
}
