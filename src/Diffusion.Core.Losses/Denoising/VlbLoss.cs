using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// L_vlb: the term of the variational bound that belongs to t, in bits/dim (Nichol and Dhariwal 2021, eq. 4). Needs a discrete schedule.
/// </summary>
/// <param name="prediction">What the network predicts; eps unless said otherwise.</param>
/// <param name="variance">The variance of a reverse step; <see cref="ReverseVariance.FixedSmall"/> unless said otherwise.</param>
/// <param name="likelihood">p(x_0 | x_1); <see cref="DataLikelihood.Bytes"/> unless said otherwise.</param>
/// <param name="rescale">
/// True to multiply the term by T, so that its mean over times that are evenly drawn is the bound itself, but for L_T: OpenAI's
/// rescaled KL. False leaves the term as it is: their KL.
/// </param>
public sealed class VlbLoss(
    IPrediction? prediction = null, IReverseVariance? variance = null, IDataLikelihood? likelihood = null, bool rescale = false)
    : IDiffusionLoss
{
    /// <summary>The name of the term of the bound among the terms, not rescaled and without gradients.</summary>
    public const string VlbName = "vlb";

    /// <summary>What the network predicts.</summary>
    public IPrediction Prediction { get; } = prediction ?? Schedules.Prediction.Epsilon;

    /// <summary>The variance of a reverse step.</summary>
    public IReverseVariance Variance { get; } = variance ?? ReverseVariance.FixedSmall;

    /// <summary>p(x_0 | x_1).</summary>
    public IDataLikelihood Likelihood { get; } = likelihood ?? DataLikelihood.Bytes;

    /// <summary>Whether the term is multiplied by T.</summary>
    public bool Rescale { get; } = rescale;

    /// <inheritdoc/>
    /// <returns><c>loss</c> and <c>vlb</c>, [B] bits/dim each; the caller's.</returns>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, the network answers with another shape than it should, or the schedule has no steps.
    /// </exception>
    public LossTerms Evaluate(IDenoiser denoiser, ForwardProcess process, Tensor x0, Tensor t, Tensor noise, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(process);
        var bound = BoundOf(process, Prediction, Variance, Likelihood);
        using var scope = NewDisposeScope();
        var (xt, output) = Denoising.Predict(denoiser, process, Prediction, Variance.IsLearned, x0, t, noise, condition);
        using var owned = output;
        var vlb = bound.Term(x0, xt, t, output);
        var loss = Rescale ? vlb.Mul(bound.Reverse.Schedule.Steps) : vlb.alias();
        return new LossTerms(loss.MoveToOuterDisposeScope()).Add(VlbName, vlb.detach().clone().MoveToOuterDisposeScope());
    }

    /// <summary>The bound over the schedule of a process, which owns it.</summary>
    internal static VariationalBound BoundOf(
        ForwardProcess process, IPrediction prediction, IReverseVariance variance, IDataLikelihood likelihood)
        => process.Tables(
            (prediction, variance, likelihood),
            schedule => new VariationalBound(Denoising.Discrete(schedule), prediction, variance, likelihood));
}
