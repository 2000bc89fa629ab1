using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// L_hybrid = L_simple + lambda L_vlb, which teaches a network the variance of the reverse step: the bound sees the predicted mean
/// without gradients, so that it guides the variance alone. Needs a discrete schedule.
/// </summary>
/// <remarks>
/// Source: Nichol and Dhariwal 2021, eq. 16, with lambda = 0.001. L_vlb is a sum over T terms, of which one is evaluated: the weight of
/// that one is lambda T, OpenAI's rescaled MSE.
/// </remarks>
public sealed class HybridLoss : IDiffusionLoss
{
    /// <summary>A hybrid of a loss of the mean and the bound.</summary>
    /// <param name="simple">The loss of the mean; L_simple of eps unless said otherwise.</param>
    /// <param name="variance">
    /// The variance that the network learns; <see cref="ReverseVariance.LearnedRange"/> unless said otherwise.
    /// </param>
    /// <param name="likelihood">p(x_0 | x_1); <see cref="DataLikelihood.Bytes"/> unless said otherwise.</param>
    /// <param name="vlbWeight">The weight of one term of the bound; null for T / 1000.</param>
    /// <exception cref="ArgumentException">The variance is not learned, or the weight is negative or not finite.</exception>
    public HybridLoss(
        SimpleLoss? simple = null, IReverseVariance? variance = null, IDataLikelihood? likelihood = null, double? vlbWeight = null)
    {
        Variance = variance ?? ReverseVariance.LearnedRange;
        if (!Variance.IsLearned)
            throw new ArgumentException($"A hybrid loss teaches a network its variance; '{Variance.Name}' is fixed.", nameof(variance));
        if (vlbWeight is { } weight)
            Guard.InRange(weight, 0.0, double.MaxValue, nameof(vlbWeight));
        VlbWeight = vlbWeight;
        Simple = simple ?? new SimpleLoss();
        Likelihood = likelihood ?? DataLikelihood.Bytes;
    }

    /// <summary>The variance of a reverse step.</summary>
    public IReverseVariance Variance { get; }

    /// <summary>The loss of the mean.</summary>
    public SimpleLoss Simple { get; }

    /// <summary>p(x_0 | x_1).</summary>
    public IDataLikelihood Likelihood { get; }

    /// <summary>The weight of one term of the bound; null for T / 1000.</summary>
    public double? VlbWeight { get; }

    /// <inheritdoc/>
    /// <returns><c>loss</c>, <c>mse</c> and <c>vlb</c> (bits/dim, not weighted), [B] each; the caller's.</returns>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, the network does not answer with [B, 2C, ...], or the schedule has no steps.
    /// </exception>
    public LossTerms Evaluate(IDenoiser denoiser, ForwardProcess process, Tensor x0, Tensor t, Tensor noise, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(process);
        var bound = VlbLoss.BoundOf(process, Simple.Prediction, Variance, Likelihood);
        using var scope = NewDisposeScope();
        var (xt, output) = Denoising.Predict(denoiser, process, Simple.Prediction, learnsVariance: true, x0, t, noise, condition);
        using var owned = output;
        var channels = x0.shape[1];
        var prediction = output.narrow(1, 0, channels);
        var (loss, mse) = Simple.Measure(process, x0, t, noise, prediction);
        var frozen = cat([prediction.detach(), output.narrow(1, channels, channels)], 1);
        var vlb = bound.Term(x0, xt, t, frozen);
        var total = loss.Add(vlb, alpha: VlbWeight ?? (bound.Reverse.Schedule.Steps / 1000.0));
        return new LossTerms(total.MoveToOuterDisposeScope())
            .Add(SimpleLoss.MseName, mse.MoveToOuterDisposeScope())
            .Add(VlbLoss.VlbName, vlb.detach().clone().MoveToOuterDisposeScope());
    }
}
