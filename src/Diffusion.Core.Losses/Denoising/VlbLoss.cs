using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// L_vlb: the term of the variational bound that belongs to t, in bits/dim (Nichol and Dhariwal 2021, eq. 4). Needs a discrete schedule.
/// </summary>
/// <param name="variance">
/// The variance of a reverse step. The default is <see cref="ReverseVariance.LearnedRange"/> for a model that learns its variance, and
/// <see cref="ReverseVariance.FixedSmall"/> for others.
/// </param>
/// <param name="likelihood">p(x_0 | x_1). The default is <see cref="DataLikelihood.Bytes"/>.</param>
public sealed class VlbLoss(ReverseVariance? variance = null, DataLikelihood? likelihood = null) : IDiffusionLoss
{
    /// <summary>The name of the term of the bound among the terms, not rescaled and without gradients.</summary>
    public const string VlbName = "vlb";

    /// <summary>The variance of a reverse step; <see langword="null"/> for the default of the model.</summary>
    public ReverseVariance? Variance { get; } = variance;

    /// <summary>p(x_0 | x_1).</summary>
    public DataLikelihood Likelihood { get; } = likelihood ?? DataLikelihood.Bytes;

    /// <summary>
    /// Whether the term is multiplied by T, so that its mean over uniformly drawn times is the bound itself, except for L_T (OpenAI's
    /// rescaled KL). The default is <see langword="false"/>: the term alone (their KL).
    /// </summary>
    public bool Rescale { get; init; }

    /// <inheritdoc/>
    /// <returns><c>loss</c> and <c>vlb</c>, [B] bits/dim each. The caller must dispose them.</returns>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, the network returns another shape than it should, the schedule has no steps, or the variance is learned and the
    /// model does not learn it, or the other way round.
    /// </exception>
    public LossTerms Evaluate(LossContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var bound = VariationalBound.Of(context.Model, Variance, Likelihood);
        using var scope = NewDisposeScope();
        var (xt, output) = Denoising.Predict(context);
        using var owned = output;
        var vlb = bound.Term(context.X0, xt, context.T, output);
        var loss = Rescale ? vlb.Mul(bound.Reverse.Schedule.Steps) : vlb.alias();
        return new LossTerms(loss.MoveToOuterDisposeScope()).Add(VlbName, vlb.detach().clone().MoveToOuterDisposeScope());
    }
}
