using Diffusion.Core.Schedules;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom schedule: variance preserving, alpha = cos(pi t^p / 2), t in [0.01, 0.99].</summary>
internal sealed class PowerSchedule(double power) : INoiseSchedule
{
    public double MinTime => 0.01;

    public double MaxTime => 0.99;

    public NoiseLevel LevelAt(double t)
    {
        if (!(t >= MinTime && t <= MaxTime))
            throw new ArgumentOutOfRangeException(nameof(t), t, "outside the schedule");
        var angle = Math.PI / 2.0 * Math.Pow(t, power);
        return new NoiseLevel(Math.Cos(angle), Math.Sin(angle));
    }
}
