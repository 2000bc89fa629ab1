using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Trains a conditional network to predict without its condition too, as classifier-free guidance requires: in training mode the condition
/// of
/// each sample is replaced by an empty one with a given probability. In evaluation mode, and so when sampling, it does nothing.
/// </summary>
/// <remarks>
/// <para>Source: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", algorithm 1.</para>
/// <para>The draws are from <see cref="TrainingRandom"/>, so that a resumed run repeats them.</para>
/// </remarks>
public sealed class ConditionDropout : DelegatingTrainableDenoiser
{
    private readonly Condition _empty;

    /// <summary>A network with its condition dropped now and then.</summary>
    /// <param name="network">The network; not disposed.</param>
    /// <param name="probability">The probability, in [0, 1]; typically 0.1 to 0.2.</param>
    /// <param name="empty">
    /// A batch of one that stands for no condition, such as a reserved label, the states of an empty text, or a vector of zeros. What it
    /// lacks is never dropped. Kept, not disposed.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The probability lies outside [0, 1].</exception>
    /// <exception cref="ArgumentException">
    /// The network has its own <see cref="LabelDropout"/>, and the empty condition has labels: they would be dropped twice.
    /// </exception>
    public ConditionDropout(ITrainableDenoiser network, double probability, Condition empty)
        : base(network)
    {
        ArgumentNullException.ThrowIfNull(empty);
        _empty = empty;
        Probability = Guard.InRange(probability, 0.0, 1.0);
        if (probability > 0 && empty.Labels is not null
            && network.Module.modules().OfType<LabelDropout>().FirstOrDefault(dropout => dropout.Probability > 0) is { } own)
            throw new ArgumentException(
                $"A network whose labels are dropped here must not drop them itself, it does with probability {own.Probability}; "
                + $"set {nameof(TransformerOptions.LabelDropout)} to 0.",
                nameof(network));
    }

    /// <summary>How often a condition is dropped.</summary>
    public double Probability { get; }

    /// <inheritdoc/>
    public override bool IsTransparent => true;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The empty condition does not fit the other.</exception>
    public override Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        if (condition is null || Probability == 0 || !Module.training)
            return Inner.Predict(xt, t, condition);
        ArgumentNullException.ThrowIfNull(xt);
        using var empty = _empty.To(xt.device);
        using var dropped = Draw(xt);
        using var partly = condition.Replace(dropped, empty);
        return Inner.Predict(xt, t, partly);
    }

    /// <summary>[B] true for the samples without a condition.</summary>
    private Tensor Draw(Tensor xt)
    {
        var generator = TrainingRandom.Current;
        using var uniform = rand([xt.shape[0]], dtype: ScalarType.Float64, device: generator?.device ?? xt.device, generator: generator);
        using var dropped = uniform.Lt(Probability);
        return dropped.to(xt.device, copy: true);
    }
}
