using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A weighting of one's own: a bell over the log-SNR.</summary>
internal sealed class BellWeighting : ILossWeighting
{
    public string Name => "bell";

    public double Weight(NoiseLevel level, NoiseLevel previous, IPrediction prediction)
        => 0.05 + Math.Exp(-0.125 * level.LogSnr * level.LogSnr);
}
