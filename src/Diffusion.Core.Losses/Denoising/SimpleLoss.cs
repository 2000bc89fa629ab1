using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// The mean distance between a prediction and its target. As it comes it is L_simple, the mean squared error (Ho et al. 2020, eq. 14);
/// any distance may take the place of the square, and any weighting of the noise levels goes with it.
/// </summary>
/// <param name="prediction">What the network predicts; eps unless said otherwise.</param>
/// <param name="distance">Between elements; <see cref="Distance.L2"/> unless said otherwise.</param>
/// <param name="weighting">Of the noise levels; <see cref="LossWeighting.None"/> unless said otherwise.</param>
public sealed class SimpleLoss(
    IPrediction? prediction = null, IPointwiseDistance? distance = null, ILossWeighting? weighting = null) : IDiffusionLoss
{
    /// <summary>The name of the mean squared error among the terms, unweighted and without gradients.</summary>
    public const string MseName = "mse";

    /// <summary>What the network predicts.</summary>
    public IPrediction Prediction { get; } = prediction ?? Schedules.Prediction.Epsilon;

    /// <summary>The distance between elements.</summary>
    public IPointwiseDistance Distance { get; } = distance ?? Losses.Distance.L2;

    /// <summary>The weight of each noise level.</summary>
    public ILossWeighting Weighting { get; } = weighting ?? LossWeighting.None;

    /// <inheritdoc/>
    /// <returns><c>loss</c> and <c>mse</c>, [B] each: means over all dimensions but the first; the caller's.</returns>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, the network answers with another shape than x_0, or a weight is negative or not finite.
    /// </exception>
    public LossTerms Evaluate(IDenoiser denoiser, ForwardProcess process, Tensor x0, Tensor t, Tensor noise, Condition? condition = null)
    {
        using var scope = NewDisposeScope();
        var (_, output) = Denoising.Predict(denoiser, process, Prediction, learnsVariance: false, x0, t, noise, condition);
        using var owned = output;
        var (loss, mse) = Measure(process, x0, t, noise, output);
        return new LossTerms(loss.MoveToOuterDisposeScope()).Add(MseName, mse.MoveToOuterDisposeScope());
    }

    /// <summary>[B] the loss, and [B] the squared error without gradients, of a prediction that is at hand; in the current scope.</summary>
    internal (Tensor Loss, Tensor Mse) Measure(ForwardProcess process, Tensor x0, Tensor t, Tensor noise, Tensor output)
    {
        var difference = output.sub(process.Target(Prediction, x0, t, noise));
        var loss = Denoising.MeanOfSamples(Distance.Of(difference));
        var mse = ReferenceEquals(Distance, Losses.Distance.L2)
            ? loss.detach().clone()
            : Denoising.MeanOfSamples(Losses.Distance.L2.Of(difference.detach()));
        return ReferenceEquals(Weighting, LossWeighting.None) ? (loss, mse) : (loss.mul(Weights(process).At(t, mse)), mse);
    }

    private ScheduledValue Weights(ForwardProcess process)
        => process.Tables((Weighting, Prediction), schedule => new ScheduledValue(schedule, Weight));

    private double Weight(NoiseLevel level, NoiseLevel previous)
    {
        var weight = Weighting.Weight(level, previous, Prediction);
        return weight >= 0.0 && double.IsFinite(weight)
            ? weight
            : throw new ArgumentException(
                $"The weighting '{Weighting.Name}' must be finite and not negative, got {weight} "
                + $"at alpha {level.Alpha} and sigma {level.Sigma}.");
    }
}
