using Diffusion.Core.Schedules;

namespace Diffusion.Core.Tests.Support;

/// <summary>Times 0 to 8, a tenth more noise at each.</summary>
internal sealed class Tenths(double scale) : INoiseSchedule
{
    public double MinTime => 0;

    public double MaxTime => 8;

    public NoiseLevel LevelAt(double t) => new(1.0 - (t / 10), t / 10);

    public double ModelTimestep(double t) => scale * t;
}
