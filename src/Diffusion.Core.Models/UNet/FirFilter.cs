using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Halves or doubles the resolution with a fixed low-pass filter, [1, 3, 3, 1] / 8 along each spatial dimension, which reduces aliasing
/// compared with averaging and repeating pixels.
/// </summary>
/// <remarks>Source: Zhang 2019; in score models: Song et al. 2021, appendix H.1. The layer has no state.</remarks>
/// <param name="mirror"><see langword="true"/> for reflection padding, <see langword="false"/> for zero padding.</param>
internal sealed class FirFilter(bool mirror) : NamedModule<Tensor, Tensor>(nameof(FirFilter)), IUNetLayer
{
    private static readonly double[] Taps = [0.125, 0.375, 0.375, 0.125];

    private readonly TensorCache<int> _kernels = new();

    /// <summary>
    /// <see langword="true"/> if the layer doubles the resolution, <see langword="false"/> if it halves it. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool Raises { get; init; }

    /// <summary>Halves or doubles the resolution. The caller must dispose the returned tensor.</summary>
    public override Tensor forward(Tensor input) => Raises ? Double(input) : Halve(input);

    /// <summary>Returns [B, C, ...] at half the resolution, rounded down. The caller must dispose the tensor.</summary>
    public Tensor Halve(Tensor x)
    {
        using var scope = NewDisposeScope();
        return Filter(Padded(x, 1, 1), 2, 1).MoveToOuterDisposeScope();
    }

    /// <summary>Returns [B, C, ...] at twice the resolution. The caller must dispose the tensor.</summary>
    public Tensor Double(Tensor x)
    {
        // Inserts a zero after each pixel. The filter is multiplied by 2 along each dimension to compensate for the zeros.
        using var scope = NewDisposeScope();
        var sizes = (int)x.dim() - 2;
        var spread = mirror ? Padded(x, 1, 1) : x;
        for (var dim = 2; dim < sizes + 2; dim++)
            spread = stack([spread, zeros_like(spread)], dim + 1).flatten(dim, dim + 1);
        if (!mirror)
            return Filter(Padded(spread, 2, 1), 1, 1 << sizes).MoveToOuterDisposeScope();
        for (var dim = 2; dim < sizes + 2; dim++)
            spread = spread.narrow(dim, 0, spread.shape[dim] - 1);
        return Filter(spread, 1, 1 << sizes).MoveToOuterDisposeScope();
    }

    Tensor IUNetLayer.Forward(Tensor x, UNetContext context) => call(x);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _kernels.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Pads the image with zeros as specified, or by reflection with one pixel on every side.</summary>
    private Tensor Padded(Tensor x, long before, long after)
    {
        if (!mirror)
            return nn.functional.pad(x, [.. Enumerable.Repeat((long[])[before, after], (int)x.dim() - 2).SelectMany(pair => pair)]);
        for (var dim = 2; dim < x.dim(); dim++)
            x = cat([x.narrow(dim, 1, 1), x, x.narrow(dim, x.shape[dim] - 2, 1)], dim);
        return x;
    }

    /// <summary>Applies the filter to each channel.</summary>
    private Tensor Filter(Tensor x, long stride, double gain)
    {
        var sizes = (int)x.dim() - 2;
        var kernel = _kernels.Get(sizes, x.device, x.dtype, Kernel);
        var channels = x.reshape([x.shape[0] * x.shape[1], 1, .. x.shape[2..]]);
        long[] strides = [.. Enumerable.Repeat(stride, sizes)];
        var filtered = sizes switch
        {
            1 => nn.functional.conv1d(channels, kernel, null, stride),
            2 => nn.functional.conv2d(channels, kernel, null, strides),
            _ => nn.functional.conv3d(channels, kernel, null, strides),
        };
        return filtered.Mul(gain).reshape([x.shape[0], x.shape[1], .. filtered.shape[2..]]);
    }

    private static Tensor Kernel(int sizes)
    {
        IEnumerable<double> values = [1.0];
        for (var size = 0; size < sizes; size++)
            values = values.SelectMany(value => Taps.Select(tap => value * tap)).ToArray();
        return tensor(values.ToArray(), dtype: ScalarType.Float64).view([1, 1, .. Enumerable.Repeat((long)Taps.Length, sizes)]);
    }
}
