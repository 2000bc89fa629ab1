using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The grid of iPNDM, which brings a process of its own: alpha and sigma are the cosine and the sine of <c>pi t / 2</c>, and the times are
/// such that <c>sigma = sin^2(pi u / 2)</c> with u falling evenly from 1 to 0. It starts without signal and ends without noise.
/// </summary>
/// <remarks>The schedule and spacing of diffusers' IPNDMScheduler, after Crowson's k-diffusion and v-diffusion.</remarks>
public static class IpndmGrid
{
    /// <summary>The process: t from 0, data, to 1, noise, both included.</summary>
    public static INoiseSchedule Schedule { get; } = new QuarterCircle();

    /// <summary>N steps from t = 1 to t = 0.</summary>
    /// <param name="steps">N, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are none.</exception>
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

        // Both by the sine, which is exactly 0 at the ends.
        public NoiseLevel LevelAt(double t)
        {
            Guard.InRange(t, MinTime, MaxTime);
            return new NoiseLevel(Math.Sin(Math.PI / 2.0 * (1.0 - t)), Math.Sin(Math.PI / 2.0 * t));
        }
    }
}
