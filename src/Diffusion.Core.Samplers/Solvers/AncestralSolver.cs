using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The sampler of DDPM: the mean of q(x_s | x_t, x_0) at the predicted x_0, plus noise. Between neighbouring indices the step is Algorithm
/// 2 of the paper; between distant indices it is the same formula with the betas of the shorter process. A step to clean data adds no
/// noise, unless the variance is fixed and greater than 0 at that step.
/// </summary>
/// <remarks>
/// Source: Ho, Jain and Abbeel 2020, Algorithm 2 and eq. 7; Nichol and Dhariwal 2021, section 4, for fewer steps.
/// </remarks>
public sealed class AncestralSolver : ISolver
{
    /// <summary>Initializes a new instance of the <see cref="AncestralSolver"/> class.</summary>
    /// <param name="variance">
    /// The variance of the noise added by a step. The default is <see cref="ReverseVariance.LearnedRange"/> for a model that learns its
    /// variance, and <see cref="ReverseVariance.FixedSmall"/> for others.
    /// </param>
    public AncestralSolver(ReverseVariance? variance = null) => Variance = variance;

    /// <summary>The variance of the noise added by a step, or <see langword="null"/> for the default of the model.</summary>
    public ReverseVariance? Variance { get; }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The variance is learned, but the model does not learn its variance.</exception>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var transition = new ReverseTransition(step.From, step.To);
        var rule = Variance ?? (step.Current.Variance is null ? ReverseVariance.FixedSmall : ReverseVariance.LearnedRange);
        if (rule.IsLearned && step.Current.Variance is null)
            throw new ArgumentException(
                $"The variance '{rule.Name}' is an output of the network, which needs {nameof(DiffusionModel)}."
                + $"{nameof(DiffusionModel.LearnsVariance)}.");
        var mean = GaussianTransition.PosteriorMean(step.From, step.To).Apply(step.Current.X0, step.Sample);
        var variance = rule.IsLearned ? double.NaN : rule.Variance(transition);
        if (transition.IsFinal && (rule.IsLearned || variance == 0.0))
            return mean;

        using var noise = step.DrawNoise();
        if (!rule.IsLearned)
            return mean.Add_(noise, alpha: Math.Sqrt(variance));
        var (offset, slope) = rule.LogVariance(transition);
        using var halfLog = step.Current.Variance!.Mul(0.5 * slope).Add_(0.5 * offset);
        using var deviation = halfLog.exp();
        return mean.Addcmul_(noise, deviation, 1.0);
    }
}
