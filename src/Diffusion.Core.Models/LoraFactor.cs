using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A weight with a name of its own. State: <c>weight</c>.</summary>
internal sealed class LoraFactor : nn.Module
{
    private const string WeightName = "weight";

    /// <summary>A weight without values, of the type and on the device of another.</summary>
    public LoraFactor(long[] shape, Tensor like)
        : base(nameof(LoraFactor))
    {
        var values = empty(shape, dtype: like.dtype, device: like.device);
        register_parameter(WeightName, (Parameter)nn.Parameter(values).DetachFromDisposeScope());
    }

    /// <summary>The weight, wherever it was moved to.</summary>
    public Parameter Weight => get_parameter(WeightName)!;

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
