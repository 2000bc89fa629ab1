using Diffusion.Core.Losses;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>A loss with times and noise that were drawn elsewhere in place of the trainer's own.</summary>
internal sealed class RecordedDraws(IDiffusionLoss loss) : IDiffusionLoss
{
    /// <summary>[B] the times of the next step.</summary>
    public Tensor? Times { get; set; }

    /// <summary>[B, ...] the noise of the next step.</summary>
    public Tensor? Noise { get; set; }

    public LossTerms Evaluate(LossContext context) => loss.Evaluate(context with { T = Times!, Noise = Noise! });
}
