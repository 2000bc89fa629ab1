using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A learned vector for each class, initialized from N(0, 1).</summary>
/// <remarks>State: <c>weight</c>, [classes, width].</remarks>
internal sealed class LabelEmbedding : NamedModule<Tensor, Tensor>
{
    private const string WeightName = "weight";

    /// <summary>Creates a table of a given size.</summary>
    /// <param name="classes">The number of classes.</param>
    /// <param name="width">The width of each vector.</param>
    public LabelEmbedding(int classes, int width)
        : base(nameof(LabelEmbedding))
    {
        Classes = Guard.Positive(classes);
        Guard.Positive(width);
        ParameterBudget.Spend(classes, width);
        var table = randn([classes, width], dtype: ScalarType.Float32);
        register_parameter(WeightName, (Parameter)nn.Parameter(table).DetachFromDisposeScope());
    }

    /// <summary>The number of classes.</summary>
    public int Classes { get; }

    /// <summary>Returns the vector of each label.</summary>
    /// <param name="input">
    /// [B] int64 in 0..classes-1. On the CPU a label out of range throws; on other devices, where the check would synchronize with the
    /// device, the behavior is undefined.
    /// </param>
    /// <returns>[B, width]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">
    /// The labels are not [B] int64, are on another device than the table, or contain a label out of range.
    /// </exception>
    public override Tensor forward(Tensor input)
    {
        var weight = get_parameter(WeightName)!;
        DenoiserGuard.Labels(input, Classes, -1, weight);
        return weight.index_select(0, input);
    }
}

/// <summary>
/// In training mode, replaces each label, with a given probability, by a label that stands for "no class". In evaluation mode, and for
/// probability 0, labels are unchanged. Random numbers are drawn from <see cref="TrainingRandom"/>, so that a resumed run repeats them.
/// </summary>
/// <remarks>Source: Ho and Salimans 2022, algorithm 1.</remarks>
internal sealed class LabelDropout : NamedModule<Tensor, Tensor>
{
    private readonly long _nullLabel;

    /// <summary>Creates a dropout of labels.</summary>
    /// <param name="probability">The probability that a label is dropped, in [0, 1).</param>
    /// <param name="nullLabel">The label that replaces a dropped label.</param>
    /// <exception cref="ArgumentOutOfRangeException">The probability is outside [0, 1).</exception>
    public LabelDropout(double probability, long nullLabel)
        : base(nameof(LabelDropout))
    {
        if (!(probability >= 0 && probability < 1))
            throw new ArgumentOutOfRangeException(
                nameof(probability), probability, Invariant($"The probability must lie in [0, 1), got {probability}."));
        (Probability, _nullLabel) = (probability, nullLabel);
    }

    /// <summary>The probability that a label is dropped.</summary>
    public double Probability { get; }

    /// <summary>Returns the labels, with the dropped ones replaced.</summary>
    /// <param name="input">The labels, [B] int64.</param>
    /// <returns>[B] int64, always a new tensor object. The caller must dispose the tensor.</returns>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, [-1]);
        if (Probability == 0 || !training)
            return input.alias();
        var generator = TrainingRandom.Current;
        using var uniform = rand(
            input.shape, dtype: ScalarType.Float32, device: generator is null ? input.device : generator.device, generator: generator);
        using var drawn = uniform.Lt(Probability);
        using var dropped = drawn.to(input.device);
        return input.MaskedFill(dropped, _nullLabel);
    }
}
