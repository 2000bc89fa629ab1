using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The sampler of DDPM: the mean of q(x_s | x_t, x_0) at the predicted x_0, plus noise. Between neighbouring indices it is Algorithm 2
/// of the paper; between distant ones, the same formula with the betas of the shorter process. A step to data without noise adds none,
/// unless the variance says so.
/// </summary>
/// <remarks>
/// Source: Ho, Jain and Abbeel 2020, Algorithm 2 and eq. 7; Nichol and Dhariwal 2021, section 4, for fewer steps.
/// </remarks>
public sealed class AncestralSolver : ISolver
{
    /// <summary>The method for one choice of variance.</summary>
    /// <param name="variance">That of the noise added by a step; <see cref="ReverseVariance.FixedSmall"/> unless said otherwise.</param>
    public AncestralSolver(IReverseVariance? variance = null) => Variance = variance ?? ReverseVariance.FixedSmall;

    /// <summary>The variance of the noise added by a step.</summary>
    public IReverseVariance Variance { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var transition = new ReverseTransition(step.From, step.To);
        if (Variance.IsLearned && step.Current.Variance is null)
            throw new ArgumentException(
                $"The variance '{Variance.Name}' is an answer of the network, which needs {nameof(SamplerOptions)}."
                + $"{nameof(SamplerOptions.HasVarianceChannels)}.");
        var mean = GaussianTransition.PosteriorMean(step.From, step.To).Apply(step.Current.Data, step.Sample);
        var variance = Variance.IsLearned ? double.NaN : Variance.Variance(transition);
        if (transition.IsFinal && (Variance.IsLearned || variance == 0.0))
            return mean;

        using var noise = step.DrawNoise();
        if (!Variance.IsLearned)
            return mean.Add_(noise, alpha: Math.Sqrt(variance));
        var (offset, slope) = Variance.LogVariance(transition);
        using var halfLog = step.Current.Variance!.Mul(0.5 * slope).Add_(0.5 * offset);
        using var deviation = halfLog.exp();
        return mean.Addcmul_(noise, deviation, 1.0);
    }
}
