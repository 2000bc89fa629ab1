using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A norm, then a scale and a shift, one and zero at first. Where these have another type than the input, such as float32 in a network of
/// bfloat16, all is computed in their type, and the answer has the input's.
/// </summary>
/// <remarks>State: <c>weight</c> and <c>bias</c>, or nothing.</remarks>
public abstract class Normalization : nn.Module<Tensor, Tensor>, IFullPrecisionModule
{
    private const string WeightName = "weight";
    private const string BiasName = "bias";

    private readonly bool _scales;

    /// <summary>A norm whose scale and shift have a given width.</summary>
    /// <param name="name">The name of the module.</param>
    /// <param name="width">Elements of the scale.</param>
    /// <param name="scales">False for a norm without scale and shift.</param>
    private protected Normalization(string name, long width, bool scales)
        : base(name)
    {
        _scales = scales;
        if (!scales)
            return;
        register_parameter(WeightName, (Parameter)nn.Parameter(ones([width], ScalarType.Float32)).DetachFromDisposeScope());
        register_parameter(BiasName, (Parameter)nn.Parameter(zeros([width], ScalarType.Float32)).DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public IEnumerable<Parameter> FullPrecisionParameters => parameters(false);

    /// <summary>The normed input.</summary>
    /// <param name="input">Floating point; each norm says which shape.</param>
    /// <returns>Of the input's shape and type; the caller's.</returns>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (!_scales)
            return Normalize(input, null, null);
        var (weight, bias) = (get_parameter(WeightName)!, get_parameter(BiasName)!);
        if (weight.dtype == input.dtype)
            return Normalize(input, weight, bias);
        using var wide = input.to(weight.dtype);
        using var normed = Normalize(wide, weight, bias);
        return normed.to(input.dtype);
    }

    /// <summary>The norm of an input that has the type of scale and shift, where there are any.</summary>
    private protected abstract Tensor Normalize(Tensor input, Tensor? weight, Tensor? bias);

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
