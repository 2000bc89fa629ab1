using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// The mean distance between a prediction and its target. By default it is L_simple, the mean squared error (Ho et al. 2020, eq. 14).
/// Any other distance, and any weighting of the noise levels, can be used.
/// </summary>
/// <param name="distance">The elementwise distance. The default is <see cref="Distance.L2"/>.</param>
/// <param name="weighting">The weighting of the noise levels. The default is <see cref="LossWeighting.None"/>.</param>
public sealed class SimpleLoss(Distance? distance = null, LossWeighting? weighting = null) : IDiffusionLoss
{
    /// <summary>The name of the mean squared error in <see cref="LossTerms"/>, unweighted and without gradients.</summary>
    public const string MseName = "mse";

    /// <summary>The elementwise distance.</summary>
    public Distance Distance { get; } = distance ?? Distance.L2;

    /// <summary>The weighting of the noise levels.</summary>
    public LossWeighting Weighting { get; } = weighting ?? LossWeighting.None;

    /// <summary>Returns the name of the loss with its settings.</summary>
    public override string ToString() => $"{nameof(SimpleLoss)}({Distance.Name}, {Weighting.Name})";

    /// <inheritdoc/>
    /// <returns>
    /// <c>loss</c> and <c>mse</c>, [B] each: means over all dimensions except the first. The caller must dispose the returned object.
    /// </returns>
    /// <exception cref="ArgumentException">
    /// A shape does not match, the output of the network does not have the shape of x_0, or a weight is negative or not finite.
    /// </exception>
    public LossTerms Evaluate(LossContext context)
    {
        using var scope = NewDisposeScope();
        var (_, output) = Denoising.Predict(context);
        using var owned = output;
        var (loss, mse) = Measure(context, Denoising.Mean(context, output));
        return new LossTerms(loss.MoveToOuterDisposeScope()).Add(MseName, mse.MoveToOuterDisposeScope());
    }

    /// <summary>
    /// Computes [B] the loss and [B] the mean squared error, the latter without gradients, of a prediction, in the current dispose
    /// scope.
    /// </summary>
    internal (Tensor Loss, Tensor Mse) Measure(LossContext context, Tensor prediction)
    {
        var (process, form) = (context.Model.Process, context.Model.Prediction);
        var difference = prediction.sub(process.Target(form, context.X0, context.T, context.Noise));
        var loss = Denoising.MeanOfSamples(Distance.Of(difference));
        var mse = ReferenceEquals(Distance, Distance.L2)
            ? loss.detach().clone()
            : Denoising.MeanOfSamples(Distance.L2.Of(difference.detach()));
        return ReferenceEquals(Weighting, LossWeighting.None) ? (loss, mse) : (loss.mul(Weights(process, form).At(context.T, mse)), mse);
    }

    private ScheduledValue Weights(ForwardProcess process, Prediction prediction)
        => process.Tables(
            (Weighting, prediction), schedule => new ScheduledValue(schedule, (level, previous) => Weight(level, previous, prediction)));

    private double Weight(NoiseLevel level, NoiseLevel previous, Prediction prediction)
    {
        var weight = Weighting.Weight(level, previous, prediction);
        return weight >= 0.0 && double.IsFinite(weight)
            ? weight
            : throw new ArgumentException(
                Invariant($"The weighting '{Weighting.Name}' must be finite and not negative, got {weight} ")
                + Invariant($"at alpha {level.Alpha} and sigma {level.Sigma}."));
    }
}
