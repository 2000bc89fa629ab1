using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A multilayer perceptron, which maps samples of one shape to samples of another.</summary>
/// <remarks>State: <c>layers.i.proj</c> for the hidden layers, <c>linear_out</c>.</remarks>
public sealed class Mlp : NamedModule<Tensor, Tensor>
{
    private readonly long[] _inputs;
    private readonly long[] _outputs;
    private readonly ModuleList<ActivatedLinear> _layers = new();
    private readonly Linear _linearOut;

    /// <summary>Creates a network of given sizes with random weights, on the CPU, in float32.</summary>
    /// <param name="inputs">The shape of an input sample, without the batch dimension.</param>
    /// <param name="hidden">The widths of the hidden layers; empty for a linear map.</param>
    /// <param name="outputs">The shape of an output sample, without the batch dimension.</param>
    /// <param name="activation">The activation after each hidden layer. The default is <see cref="Activation.Relu"/>.</param>
    /// <exception cref="ArgumentException">A size is not positive.</exception>
    public Mlp(IReadOnlyList<long> inputs, IReadOnlyList<int> hidden, IReadOnlyList<long> outputs, Activation? activation = null)
        : base(nameof(Mlp))
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(hidden);
        ArgumentNullException.ThrowIfNull(outputs);
        (_inputs, _outputs) = ([-1, .. inputs], [-1, .. outputs]);
        var width = Size(inputs, nameof(inputs));
        foreach (var next in hidden)
        {
            _layers.Add(new ActivatedLinear(width, Guard.Positive(next, nameof(hidden)), activation ?? Activation.Relu));
            width = next;
        }

        _linearOut = Layers.Linear(width, Size(outputs, nameof(outputs)));
        register_module("layers", _layers);
        register_module("linear_out", _linearOut);
    }

    /// <summary>Applies the network to samples.</summary>
    /// <param name="input">[B, inputs...], of the type and on the device of the weights.</param>
    /// <returns>[B, outputs...]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The shape or type does not match.</exception>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, _inputs);
        Guard.SameType(_linearOut.weight, input);
        using var scope = NewDisposeScope();
        var hidden = input.reshape(input.shape[0], input.numel() / Math.Max(1, input.shape[0]));
        foreach (var layer in _layers)
            hidden = layer.call(hidden);
        return _linearOut.call(hidden).reshape([input.shape[0], .. _outputs[1..]]).MoveToOuterDisposeScope();
    }

    private static int Size(IReadOnlyList<long> shape, string name)
        => Layers.Size([.. shape.Select(size => Guard.Positive(size, name))]);
}
