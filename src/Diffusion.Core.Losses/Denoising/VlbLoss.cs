using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// L_vlb: the term of the variational bound at t, in bits/dim (Nichol and Dhariwal 2021, eq. 4). The loss requires a discrete
/// schedule.
/// </summary>
/// <param name="variance">
/// The variance of a reverse step. The default is <see cref="ReverseVariance.LearnedRange"/> for a model that learns its variance, and
/// <see cref="ReverseVariance.FixedSmall"/> otherwise.
/// </param>
/// <param name="likelihood">The likelihood p(x_0 | x_1). The default is <see cref="DataLikelihood.Bytes"/>.</param>
public sealed class VlbLoss(ReverseVariance? variance = null, DataLikelihood? likelihood = null) : IDiffusionLoss
{
    /// <summary>The name of the term of the bound in <see cref="LossTerms"/>, without gradients and not multiplied by T.</summary>
    public const string VlbName = "vlb";

    /// <summary>The variance of a reverse step, or <see langword="null"/> for the default of the model.</summary>
    public ReverseVariance? Variance { get; } = variance;

    /// <summary>The likelihood p(x_0 | x_1).</summary>
    public DataLikelihood Likelihood { get; } = likelihood ?? DataLikelihood.Bytes;

    /// <summary>
    /// Whether the term is multiplied by T, so that its mean over uniformly distributed times is the whole bound except L_T (the
    /// "rescaled KL" of OpenAI's code). The default is <see langword="false"/>: the term itself (the "KL" of that code).
    /// </summary>
    public bool Rescale { get; init; }

    /// <summary>Returns the name of the loss with its settings.</summary>
    public override string ToString() => nameof(VlbLoss) + (Variance is null ? "" : $"({Variance.Name})") + (Rescale ? ", rescaled" : "");

    /// <inheritdoc/>
    /// <returns><c>loss</c> and <c>vlb</c>, [B] each, in bits/dim. The caller must dispose the returned object.</returns>
    /// <exception cref="ArgumentException">
    /// A shape does not match, the output of the network does not have the expected shape, the schedule is not discrete, the variance
    /// is learned and the model does not learn its variance, or the variance is fixed and the model learns its variance.
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
