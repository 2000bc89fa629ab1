using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The two-layer network of a transformer block, applied to each token separately.</summary>
/// <remarks>Source: Vaswani et al. 2017, section 3.3. State: <c>net.0.proj</c>, <c>net.2</c>.</remarks>
internal sealed class FeedForward : NamedModule<Tensor, Tensor>
{
    private readonly int _width;
    private readonly SeededDropout _dropout;
    private readonly ActivatedLinear _first;
    private readonly Linear _second;

    /// <summary>Creates a network of given sizes.</summary>
    /// <param name="width">The width of the tokens.</param>
    /// <param name="hidden">The hidden width. The default is <see langword="null"/>: four times the width.</param>
    /// <param name="activation">The activation between the layers. The default is <see cref="Activation.Gelu"/>.</param>
    /// <param name="dropout">The probability of dropout between the layers, in [0, 1). The default is 0.</param>
    /// <exception cref="ArgumentException">A size is not positive, or the probability is not in [0, 1).</exception>
    public FeedForward(int width, int? hidden = null, Activation? activation = null, double dropout = 0)
        : base(nameof(FeedForward))
    {
        _width = Guard.Positive(width);
        var inner = Guard.Positive(hidden ?? Layers.Size(4, width), nameof(hidden));
        _first = new ActivatedLinear(width, inner, activation ?? Activation.Gelu);
        _dropout = new SeededDropout(dropout);
        _second = Layers.Linear(inner, width);
        register_module("net", new ModuleList<nn.Module>(_first, _dropout, _second));
    }

    /// <summary>Applies the network to tokens.</summary>
    /// <param name="input">[..., width].</param>
    /// <returns>[..., width]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The last dimension is not the width.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() == 0 || input.shape[^1] != _width)
            throw new ArgumentException(
                Invariant($"input must have {_width} as its last size, got {Guard.Format(input.shape)}."), nameof(input));
        using var hidden = _first.call(input);
        using var dropped = _dropout.call(hidden);
        return _second.call(dropped);
    }
}

/// <summary>A linear layer and its activation. State: <c>proj</c>.</summary>
internal sealed class ActivatedLinear : NamedModule<Tensor, Tensor>
{
    private readonly Activation _activation;
    private readonly Linear _projection;

    /// <summary>Creates a layer of given sizes. <paramref name="outputs"/> is the width after the activation.</summary>
    public ActivatedLinear(int inputs, int outputs, Activation activation)
        : base(nameof(ActivatedLinear))
    {
        _activation = activation;
        _projection = Layers.Linear(inputs, Layers.Size(outputs, activation.InputsPerOutput));
        register_module("proj", _projection);
    }

    /// <summary>Maps [..., inputs] to [..., outputs]. The caller must dispose the tensor.</summary>
    public override Tensor forward(Tensor input)
    {
        using var projected = _projection.call(input);
        return _activation.Apply(projected);
    }
}
