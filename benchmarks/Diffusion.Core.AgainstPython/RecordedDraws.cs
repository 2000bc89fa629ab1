using Diffusion.Core.Losses;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>A loss that uses recorded times and noise instead of those that the trainer draws.</summary>
internal sealed class RecordedDraws(IDiffusionLoss loss) : IDiffusionLoss
{
    /// <summary>The times of the next step, [B].</summary>
    public Tensor? Times { get; set; }

    /// <summary>The noise of the next step, [B, ...].</summary>
    public Tensor? Noise { get; set; }

    public LossTerms Evaluate(LossContext context) => loss.Evaluate(context with { T = Times!, Noise = Noise! });
}
