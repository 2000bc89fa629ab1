using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Trains a conditional network to predict with and without its condition, as classifier-free guidance requires: in training mode, the
/// condition of each sample is replaced by an empty one with a given probability. In evaluation mode, which samplers use, the condition
/// is unchanged.
/// </summary>
/// <remarks>
/// <para>Source: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", algorithm 1.</para>
/// <para>Random numbers are drawn from <see cref="TrainingRandom"/>, so that a resumed run repeats them.</para>
/// </remarks>
public sealed class ConditionDropout : DelegatingTrainableDenoiser
{
    private readonly Condition _empty;

    /// <summary>Creates a denoiser that drops the conditions of a network.</summary>
    /// <param name="network">The network. It is not disposed.</param>
    /// <param name="probability">The probability that the condition of a sample is dropped, in [0, 1]; typically 0.1 to 0.2.</param>
    /// <param name="empty">
    /// The empty condition, with a batch size of 1, such as a reserved label, the hidden states of an empty text, or a vector of
    /// zeros. Tensors that are null in it are never dropped. It is not disposed, and must not be disposed while this object is in use.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">The probability is outside [0, 1].</exception>
    /// <exception cref="ArgumentException">
    /// The empty condition has labels, and the network itself drops labels with <see cref="LabelDropout"/>, so that they would be dropped
    /// twice.
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
                "The empty condition has labels, so the network must not drop them itself, got a probability of "
                + Invariant($"{own.Probability}; ")
                + $"set {nameof(TransformerOptions.LabelDropout)} to 0.",
                nameof(network));
    }

    /// <summary>The probability that the condition of a sample is dropped.</summary>
    public double Probability { get; }

    /// <inheritdoc/>
    public override bool IsTransparent => true;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// A tensor of the empty condition differs in shape, type or device from that of <paramref name="condition"/>.
    /// </exception>
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

    /// <summary>Draws a mask, [B] bool: true for the samples whose condition is dropped.</summary>
    private Tensor Draw(Tensor xt)
    {
        var generator = TrainingRandom.Current;
        using var uniform = rand([xt.shape[0]], dtype: ScalarType.Float64, device: generator?.device ?? xt.device, generator: generator);
        using var dropped = uniform.Lt(Probability);
        return dropped.to(xt.device, copy: true);
    }
}
