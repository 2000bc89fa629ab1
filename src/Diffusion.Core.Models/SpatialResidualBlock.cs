using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A residual block whose norms read the code. State: <c>norm1</c>, <c>conv1</c>, <c>norm2</c>, <c>conv2</c> and, where channels change,
/// <c>conv_shortcut</c>.
/// </summary>
internal sealed class SpatialResidualBlock : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly SpatialNorm _norm1;
    private readonly Conv2d _convolution1;
    private readonly SpatialNorm _norm2;
    private readonly Conv2d _convolution2;
    private readonly Conv2d? _shortcut;
    private readonly IActivation _activation;

    /// <summary>A block of given sizes.</summary>
    public SpatialResidualBlock(int inputs, int outputs, int codeChannels, IActivation activation)
        : base(nameof(SpatialResidualBlock))
    {
        _activation = activation;
        register_module("norm1", _norm1 = new SpatialNorm(inputs, codeChannels));
        register_module("conv1", _convolution1 = Layers.Convolution3x3(inputs, outputs));
        register_module("norm2", _norm2 = new SpatialNorm(outputs, codeChannels));
        register_module("conv2", _convolution2 = Layers.Convolution3x3(outputs, outputs));
        if (inputs != outputs)
            register_module("conv_shortcut", _shortcut = Layers.Conv2d(inputs, outputs, 1L));
    }

    /// <summary>[B, outputs, H, W] from [B, inputs, H, W] and a code [B, Z, h, w].</summary>
    public override Tensor forward(Tensor x, Tensor code)
    {
        using var scope = NewDisposeScope();
        var hidden = _convolution1.call(_activation.Apply(_norm1.call(x, code)));
        hidden = _convolution2.call(_activation.Apply(_norm2.call(hidden, code)));
        return hidden.Add_(_shortcut is null ? x : _shortcut.call(x)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
