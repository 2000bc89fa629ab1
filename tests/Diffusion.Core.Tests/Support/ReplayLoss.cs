using Diffusion.Core.Losses;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests.Support;

/// <summary>A loss evaluated at given times and noise in place of the trainer's draws, one row for each step.</summary>
/// <param name="inner">The loss.</param>
/// <param name="allTimes">[N, B].</param>
/// <param name="allNoise">[N, B, ...].</param>
public sealed class ReplayLoss(IDiffusionLoss inner, Tensor allTimes, Tensor allNoise) : IDiffusionLoss
{
    private long _step;

    public LossTerms Evaluate(LossContext context)
    {
        using var times = allTimes.select(0, _step);
        using var draws = allNoise.select(0, _step);
        _step++;
        return inner.Evaluate(context with { T = times, Noise = draws });
    }
}
