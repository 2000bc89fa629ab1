using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A learned vector for each class, drawn from N(0, 1) at first.</summary>
/// <remarks>State: <c>weight</c>, [classes, width].</remarks>
public sealed class LabelEmbedding : nn.Module<Tensor, Tensor>
{
    private const string WeightName = "weight";

    /// <summary>A table of given size.</summary>
    /// <param name="classes">The number of classes.</param>
    /// <param name="width">The width of each vector.</param>
    public LabelEmbedding(int classes, int width)
        : base(nameof(LabelEmbedding))
    {
        Classes = Guard.Positive(classes);
        Guard.Positive(width);
        var table = randn([classes, width], dtype: ScalarType.Float32);
        register_parameter(WeightName, (Parameter)nn.Parameter(table).DetachFromDisposeScope());
    }

    /// <summary>The number of classes.</summary>
    public int Classes { get; }

    /// <summary>The vector of each label.</summary>
    /// <param name="input">
    /// [B] int64 in 0..classes-1. A label outside is refused on the CPU; on other devices, where looking would stall the device, it is
    /// undefined what happens.
    /// </param>
    /// <returns>[B, width]; the caller's.</returns>
    /// <exception cref="ArgumentException">Not [B] int64, on another device than the table, or a label out of range.</exception>
    public override Tensor forward(Tensor input)
    {
        var weight = get_parameter(WeightName)!;
        DenoiserGuard.Labels(input, Classes, -1, weight);
        return weight.index_select(0, input);
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
