using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The sampler of DDPM: the mean of q(x_s | x_t, x_0) at the predicted x_0, plus noise. Between neighbouring indices it is Algorithm 2
/// of the paper; between distant ones, the same formula with the betas of the shorter process. The step to the data adds no noise.
/// </summary>
/// <remarks>
/// Source: Ho, Jain and Abbeel 2020, Algorithm 2 and eq. 7; Nichol and Dhariwal 2021, section 4, for fewer steps.
/// </remarks>
public sealed class AncestralSolver : ISolver
{
    /// <summary>The method for one choice of variance.</summary>
    /// <param name="variance">That of the noise added by a step; <see cref="ReverseVariance.FixedSmall"/> unless said otherwise.</param>
    /// <exception cref="ArgumentException">The variance is learned: it is an answer of the network, not a number.</exception>
    public AncestralSolver(IReverseVariance? variance = null)
    {
        Variance = variance ?? ReverseVariance.FixedSmall;
        if (Variance.IsLearned)
            throw new ArgumentException($"The variance must be fixed, got '{Variance.Name}', which the network answers with.", nameof(variance));
    }

    /// <summary>The variance of the noise added by a step.</summary>
    public IReverseVariance Variance { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var (from, to) = (step.From, step.To);
        if (to.Sigma == 0.0)
            return step.Current.Data.mul(to.Alpha);

        using var noise = step.Noise.Draw(step.Sample);
        return GaussianTransition.PosteriorMean(from, to)
            .Apply(step.Current.Data, step.Sample)
            .add_(noise, alpha: Math.Sqrt(Variance.Variance(new ReverseTransition(from, to))));
    }
}
