using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom weighting: a bell over the log-SNR.</summary>
internal sealed class BellWeighting : LossWeighting
{
    public override string Name => "bell";

    public override double Weight(NoiseLevel level, NoiseLevel previous, Prediction prediction)
        => 0.05 + Math.Exp(-0.125 * level.LogSnr * level.LogSnr);
}
