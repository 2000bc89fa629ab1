using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// In training mode replaces each label, with a given probability, by one that stands for "no class"; in evaluation mode, and for
/// probability 0, the identity. Draws from <see cref="DropoutRandom"/>, so that a resumed run repeats them.
/// </summary>
/// <remarks>Source: Ho and Salimans 2022, algorithm 1.</remarks>
public sealed class LabelDropout : nn.Module<Tensor, Tensor>
{
    private readonly long _nullLabel;

    /// <summary>A dropout of labels.</summary>
    /// <param name="probability">In [0, 1).</param>
    /// <param name="nullLabel">What takes the place of a dropped label.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside [0, 1).</exception>
    public LabelDropout(double probability, long nullLabel)
        : base(nameof(LabelDropout))
    {
        if (!(probability >= 0 && probability < 1))
            throw new ArgumentOutOfRangeException(
                nameof(probability), probability, $"The probability must lie in [0, 1), got {probability}.");
        (Probability, _nullLabel) = (probability, nullLabel);
    }

    /// <summary>The probability that a label is dropped.</summary>
    public double Probability { get; }

    /// <summary>The labels, some of them dropped.</summary>
    /// <param name="input">[B] int64.</param>
    /// <returns>[B] int64, always a new tensor object; the caller's.</returns>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, [-1]);
        if (Probability == 0 || !training)
            return input.alias();
        var generator = DropoutRandom.Current;
        using var uniform = rand(
            input.shape, dtype: ScalarType.Float32, device: generator is null ? input.device : generator.device, generator: generator);
        using var drawn = uniform.Lt(Probability);
        using var dropped = drawn.to(input.device);
        return input.MaskedFill(dropped, _nullLabel);
    }
}
