using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Raises the resolution by repeating pixels, then a convolution of three pixels.</summary>
/// <remarks>State: <c>conv</c>.</remarks>
public sealed class Upsample : nn.Module<Tensor, Tensor>, IUNetLayer
{
    private readonly int _dimensions;
    private readonly Convolution _convolution;

    /// <summary>A convolution that keeps the number of channels.</summary>
    /// <param name="channels">C.</param>
    /// <param name="dimensions">The number of sizes of an image: 1, 2 or 3.</param>
    public Upsample(int channels, int dimensions = 2)
        : base(nameof(Upsample))
    {
        Guard.Positive(channels);
        _dimensions = Guard.InRange(dimensions, 1, 3);
        _convolution = Layers.Convolution(dimensions, channels, channels, 3);
        register_module("conv", _convolution);
    }

    /// <summary>The image at twice the resolution.</summary>
    /// <param name="input">[B, C, ...].</param>
    /// <returns>[B, C, ...] with twice the sizes; the caller's.</returns>
    public override Tensor forward(Tensor input)
    {
        Layers.CheckImage(input, _dimensions, -1, nameof(input));
        return forward(input, [.. input.shape[2..].Select(side => 2 * side)]);
    }

    /// <summary>The image at a given resolution, for sizes that were odd before they were halved.</summary>
    /// <param name="input">[B, C, ...].</param>
    /// <param name="size">The sizes of the result, such as height and width.</param>
    /// <returns>[B, C, size]; the caller's.</returns>
    public Tensor forward(Tensor input, params long[] size)
    {
        using var larger = Resample.Nearest(input, size);
        return _convolution.call(larger);
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => forward(x, context.NextSize());

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
