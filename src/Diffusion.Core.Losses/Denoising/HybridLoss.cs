using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// L_hybrid = L_simple + lambda L_vlb, which also trains the variance of the reverse step. L_vlb receives the predicted mean without
/// gradients, so that it trains the variance only. The loss requires a discrete schedule.
/// </summary>
/// <remarks>
/// Source: Nichol and Dhariwal 2021, eq. 16, with lambda = 0.001. L_vlb is a sum over T terms, one of which is evaluated. The weight
/// of this term is therefore lambda T, as in the "rescaled MSE" of OpenAI's code.
/// </remarks>
public sealed class HybridLoss : IDiffusionLoss
{
    /// <summary>Creates a hybrid loss from a loss of the mean and the variational bound.</summary>
    /// <param name="simple">The loss of the mean. The default is L_simple, <see cref="SimpleLoss"/>.</param>
    /// <param name="variance">The variance that the network learns. The default is <see cref="ReverseVariance.LearnedRange"/>.</param>
    /// <param name="likelihood">The likelihood p(x_0 | x_1). The default is <see cref="DataLikelihood.Bytes"/>.</param>
    /// <param name="vlbWeight">The weight of one term of the bound. The default is <see langword="null"/>: T / 1000.</param>
    /// <exception cref="ArgumentException">The variance is not learned, or the weight is negative or not finite.</exception>
    public HybridLoss(
        SimpleLoss? simple = null, ReverseVariance? variance = null, DataLikelihood? likelihood = null, double? vlbWeight = null)
    {
        Variance = variance ?? ReverseVariance.LearnedRange;
        if (!Variance.IsLearned)
            throw new ArgumentException($"The variance must be learned, got the fixed variance '{Variance.Name}'.", nameof(variance));
        if (vlbWeight is { } weight)
            Guard.Factor(weight, nameof(vlbWeight));
        VlbWeight = vlbWeight;
        Simple = simple ?? new SimpleLoss();
        Likelihood = likelihood ?? DataLikelihood.Bytes;
    }

    /// <summary>The variance of a reverse step.</summary>
    public ReverseVariance Variance { get; }

    /// <summary>The loss of the mean.</summary>
    public SimpleLoss Simple { get; }

    /// <summary>The likelihood p(x_0 | x_1).</summary>
    public DataLikelihood Likelihood { get; }

    /// <summary>The weight of one term of the bound, or <see langword="null"/> for T / 1000.</summary>
    public double? VlbWeight { get; }

    /// <summary>Returns the name of the loss with its settings.</summary>
    public override string ToString() => $"{nameof(HybridLoss)}({Simple}, {Variance.Name})";

    /// <inheritdoc/>
    /// <returns>
    /// <c>loss</c>, <c>mse</c> and <c>vlb</c> (in bits/dim and unweighted), [B] each. The caller must dispose the returned object.
    /// </returns>
    /// <exception cref="ArgumentException">
    /// A shape does not match, the model does not learn its variance, or the schedule is not discrete.
    /// </exception>
    public LossTerms Evaluate(LossContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var bound = VariationalBound.Of(context.Model, Variance, Likelihood);
        using var scope = NewDisposeScope();
        var (xt, output) = Denoising.Predict(context);
        using var owned = output;
        var channels = context.X0.shape[1];
        var prediction = Denoising.Mean(context, output);
        var (loss, mse) = Simple.Measure(context, prediction);
        var frozen = cat([prediction.detach(), output.narrow(1, channels, channels)], 1);
        var vlb = bound.Term(context.X0, xt, context.T, frozen);
        var total = loss.Add(vlb, alpha: VlbWeight ?? (bound.Reverse.Schedule.Steps / 1000.0));
        return new LossTerms(total.MoveToOuterDisposeScope())
            .Add(SimpleLoss.MseName, mse.MoveToOuterDisposeScope())
            .Add(VlbLoss.VlbName, vlb.detach().clone().MoveToOuterDisposeScope());
    }
}
