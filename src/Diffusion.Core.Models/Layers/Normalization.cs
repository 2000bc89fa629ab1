using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The base class of norms with a learned scale and shift, initialized to one and zero. If the type of scale and shift differs from that of
/// the input, such as float32 in a bfloat16 network, the norm is computed in their type, and the output has the type of the input.
/// </summary>
/// <remarks>State: <c>weight</c> and <c>bias</c>, or nothing.</remarks>
internal abstract class Normalization : NamedModule<Tensor, Tensor>, IFullPrecisionModule
{
    private const string WeightName = "weight";
    private const string BiasName = "bias";

    private readonly bool _scales;

    /// <summary>Creates a norm whose scale and shift have a given width.</summary>
    /// <param name="name">The name of the module.</param>
    /// <param name="width">The number of elements of the scale.</param>
    /// <param name="scales">Whether the norm has a scale and a shift.</param>
    private protected Normalization(string name, long width, bool scales)
        : base(name)
    {
        _scales = scales;
        if (!scales)
            return;
        ParameterBudget.Spend(width);
        ParameterBudget.Spend(width);
        register_parameter(WeightName, (Parameter)nn.Parameter(ones([width], ScalarType.Float32)).DetachFromDisposeScope());
        register_parameter(BiasName, (Parameter)nn.Parameter(zeros([width], ScalarType.Float32)).DetachFromDisposeScope());
    }

    /// <inheritdoc/>
    public IEnumerable<Parameter> FullPrecisionParameters => parameters(false);

    /// <summary>Normalizes the input.</summary>
    /// <param name="input">A floating point tensor, whose shape depends on the norm.</param>
    /// <returns>A tensor with the shape and type of the input. The caller must dispose the tensor.</returns>
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

    /// <summary>Normalizes an input that has the type of scale and shift, if the norm has them.</summary>
    private protected abstract Tensor Normalize(Tensor input, Tensor? weight, Tensor? bias);
}

/// <summary>Group normalization: each sample is normalized within groups of its channels. See <see cref="Normalization"/>.</summary>
/// <remarks>Source: Wu and He 2018. Input: [B, C, ...].</remarks>
internal sealed class GroupNormalization : Normalization
{
    private readonly long _groups;
    private readonly double _epsilon;

    /// <summary>Creates a norm with the given number of groups and channels.</summary>
    /// <param name="groups">The number of groups, which must divide the number of channels.</param>
    /// <param name="channels">C, the number of channels.</param>
    /// <param name="epsilon">The value added to the variance. The default is 1e-5.</param>
    /// <exception cref="ArgumentException">
    /// A size is not positive, or the number of groups does not divide the number of channels.
    /// </exception>
    public GroupNormalization(int groups, int channels, double epsilon = 1e-5)
        : base(nameof(GroupNormalization), Guard.Positive(channels), true)
    {
        (_groups, _epsilon) = (Guard.Positive(groups), Guard.Positive(epsilon));
        if (channels % groups != 0)
            throw new ArgumentException(Invariant($"The groups must divide the {channels} channels, got {groups}."), nameof(groups));
    }

    /// <summary>
    /// The activation after the norm. SiLU is computed in the same pass if there is a kernel for both. The default is
    /// <see langword="null"/>: no activation.
    /// </summary>
    internal Activation? Activation { get; init; }

    /// <inheritdoc/>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var (weight, isSilu) = (get_parameter("weight")!, ReferenceEquals(Activation, Activation.Silu));
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

/// <summary>Layer normalization: each token is normalized over its width. See <see cref="Normalization"/>.</summary>
/// <remarks>Source: Ba et al. 2016. Input: [..., width].</remarks>
internal sealed class LayerNormalization : Normalization
{
    private readonly long[] _shape;
    private readonly double _epsilon;

    /// <summary>Creates a norm of a given width.</summary>
    /// <param name="width">The size of the last dimension of the input.</param>
    /// <param name="epsilon">The value added to the variance. The default is 1e-5.</param>
    /// <param name="scales">Whether the norm has a scale and a shift.</param>
    /// <exception cref="ArgumentException">The width is not positive.</exception>
    public LayerNormalization(int width, double epsilon = 1e-5, bool scales = true)
        : base(nameof(LayerNormalization), Guard.Positive(width), scales)
        => (_shape, _epsilon) = ([width], Guard.Positive(epsilon));

    private protected override Tensor Normalize(Tensor input, Tensor? weight, Tensor? bias)
        => nn.functional.layer_norm(input, _shape, weight, bias, _epsilon);
}

/// <summary>
/// A module, such as a norm, whose parameters remain in float32 if the rest of a network has lower precision. Its output has the type of
/// its input.
/// </summary>
public interface IFullPrecisionModule
{
    /// <summary>
    /// The parameters that remain in float32: the registered objects, which must not be disposed. There is at least one if the module has
    /// parameters.
    /// </summary>
    IEnumerable<Parameter> FullPrecisionParameters { get; }
}
