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

/// <summary>The norm of each sample within groups of its channels; see <see cref="Normalization"/>.</summary>
/// <remarks>Source: Wu and He 2018. Input: [B, C, ...].</remarks>
public sealed class GroupNormalization : Normalization
{
    private readonly long _groups;
    private readonly double _epsilon;

    /// <summary>A norm of given sizes.</summary>
    /// <param name="groups">Divides the channels.</param>
    /// <param name="channels">C.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <exception cref="ArgumentException">A size is not positive, or the groups do not divide the channels.</exception>
    public GroupNormalization(int groups, int channels, double epsilon = 1e-5)
        : base(nameof(GroupNormalization), Guard.Positive(channels), true)
    {
        (_groups, _epsilon) = (Guard.Positive(groups), Guard.Positive(epsilon));
        if (channels % groups != 0)
            throw new ArgumentException($"The groups must divide the {channels} channels, got {groups}.", nameof(groups));
    }

    /// <summary>What follows the norm: SiLU in the same pass where there is a kernel for both. Null for nothing.</summary>
    internal IActivation? Activation { get; init; }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var (weight, isSilu) = (get_parameter("weight")!, ReferenceEquals(Activation, Models.Activation.Silu));
        if ((Activation is null || isSilu) && HostGroupNorm.Takes(input, weight))
            return HostGroupNorm.Run(input, _groups, weight, get_parameter("bias")!, _epsilon, isSilu);
        var normed = base.forward(input);
        if (Activation is null)
            return normed;
        using (normed)
            return Activation.Apply(normed);
    }

    private protected override Tensor Normalize(Tensor input, Tensor? weight, Tensor? bias)
        => nn.functional.group_norm(input, _groups, weight, bias, _epsilon);
}

/// <summary>The norm of each token over its width; see <see cref="Normalization"/>.</summary>
/// <remarks>Source: Ba et al. 2016. Input: [..., width].</remarks>
public sealed class LayerNormalization : Normalization
{
    private readonly long[] _shape;
    private readonly double _epsilon;

    /// <summary>A norm of given width.</summary>
    /// <param name="width">The last size of the input.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="scales">False for a norm without scale and shift.</param>
    /// <exception cref="ArgumentException">The width is not positive.</exception>
    public LayerNormalization(int width, double epsilon = 1e-5, bool scales = true)
        : base(nameof(LayerNormalization), Guard.Positive(width), scales)
        => (_shape, _epsilon) = ([width], Guard.Positive(epsilon));

    private protected override Tensor Normalize(Tensor input, Tensor? weight, Tensor? bias)
        => nn.functional.layer_norm(input, _shape, weight, bias, _epsilon);
}

/// <summary>
/// A module whose own parameters stay in float32 when the rest of a network has lower precision, such as a norm. It answers in the type
/// of its input all the same.
/// </summary>
public interface IFullPrecisionModule
{
    /// <summary>Its own parameters, at least one: the very objects that are registered; not the caller's.</summary>
    IEnumerable<Parameter> FullPrecisionParameters { get; }
}
