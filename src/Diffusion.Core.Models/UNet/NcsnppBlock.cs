using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The options of the block of NCSN++: residual blocks, a fixed filter that changes the resolution, and an image pyramid. On the down
/// path, the downsampled input of the network is projected and added to the features. On the up path, each level adds a projection of
/// its features to the upsampled output. All levels of a network must use this block.
/// </summary>
/// <remarks>
/// Source: Song et al. 2021, appendix H.1. The number of groups of a group norm is a quarter of its channels, up to 32;
/// <see cref="UNetLayout.GroupNormGroups"/> is not used. The sides of the images must be divisible by two at every level but the last.
/// State: <c>resnets</c>, <c>attentions</c>, <c>skip_conv</c>; on the down path <c>resnet_down</c>; on the up path <c>resnet_up</c> and
/// <c>skip_norm</c>.
/// </remarks>
public sealed record NcsnppBlockOptions : IUNetBlockOptions
{
    /// <summary>
    /// The layer that follows each residual block on the down path, and only the last residual block on the up path. The default is
    /// <see langword="null"/>: no layer.
    /// </summary>
    public IUNetLayerOptions? Attention { get; init; }

    /// <summary>
    /// The divisor of the output of each residual block. The default is sqrt(2), which preserves the variance of the sum.
    /// </summary>
    public double OutputScale { get; init; } = Math.Sqrt(2);

    /// <inheritdoc/>
    public UNetBlock Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        var parts = new UNetBlockParts(place with { OutputScale = OutputScale });
        return place.Direction switch
        {
            UNetDirection.Down => Down(parts),
            UNetDirection.Up => Up(parts),
            _ => throw new ArgumentException(
                $"{nameof(NcsnppBlockOptions)} must be used on the down and up paths, got the middle block.", nameof(place)),
        };
    }

    /// <inheritdoc/>
    public long Halve(long side) => side / 2;

    private EncoderBlock Down(UNetBlockParts parts)
    {
        var (place, network) = (parts.Place, parts.Place.Network);
        for (var layer = 0; layer < place.Layers; layer++)
            parts.Add(Residual(place, layer == 0 ? place.Inputs : place.Width), Attention);
        parts.RegisterLayers();
        if (!place.Resamples)
            return new EncoderBlock(parts);
        var filter = new FirFilter(mirror: false);
        var downsample = Residual(place, filter);
        var fromPyramid = Layers.Convolution(network.Dimensions, network.Channels, place.Width, 1);
        parts.Register("filter", filter);
        parts.Register("resnet_down", downsample);
        parts.Register("skip_conv", fromPyramid);
        parts.Resample = (x, context) =>
        {
            context.Pyramid = filter.Halve(context.Pyramid!);
            using var read = fromPyramid.call(context.Pyramid);
            using var smaller = context.Call(downsample, x);
            return smaller.Add(read);
        };
        return new EncoderBlock(parts);
    }

    private DecoderBlock Up(UNetBlockParts parts)
    {
        var (place, network) = (parts.Place, parts.Place.Network);
        for (var layer = 0; layer <= place.Layers; layer++)
        {
            // With attention, diffusers uses min(h + s / 4, 32) groups for h hidden channels and s channels of the skip connection. The
            // outputs of its networks depend on this number.
            var inputs = place.JoinedInputs(layer);
            var below = layer == 0 ? place.Inputs : place.Width;
            var groups = Attention is null ? (int?)null : Math.Min(below + ((inputs - below) / 4), 32);
            parts.Add(Residual(place, inputs, groups), layer == place.Layers ? Attention : null);
        }

        parts.RegisterLayers();
        var filter = new FirFilter(mirror: false) { Raises = true };
        parts.Register("filter", filter);
        if (!place.Resamples)
        {
            parts.Resample = (x, context) =>
            {
                context.Pyramid = context.Pyramid is null ? null : filter.Double(context.Pyramid);
                return x.alias();
            };
            return new DecoderBlock(parts);
        }

        var upsample = Residual(place, filter);
        var norm = new GroupNormalization(Groups(place.Width), place.Width, network.NormEpsilon);
        var toPyramid = Layers.Convolution(network.Dimensions, place.Width, network.OutChannels ?? network.Channels, 3);
        parts.Register("resnet_up", upsample);
        parts.Register("skip_norm", norm);
        parts.Register("skip_conv", toPyramid);
        parts.Resample = (x, context) =>
        {
            using var scope = NewDisposeScope();
            var larger = context.Pyramid is null ? null : filter.Double(context.Pyramid);
            var part = toPyramid.call(nn.functional.silu(norm.call(x)));
            context.Pyramid = (larger is null ? part : larger.Add(part)).MoveToOuterDisposeScope();
            var output = context.Call(upsample, x);
            context.RequireNextSize(output);
            return output.MoveToOuterDisposeScope();
        };
        return new DecoderBlock(parts);
    }

    private static int Groups(int channels) => Math.Clamp(channels / 4, 1, 32);

    private static ResidualBlock Residual(UNetPlace place, int inputs, int? groups = null) => new(place.Residual(inputs, place.Width) with
    {
        Groups = groups ?? Groups(inputs),
        OutputGroups = Groups(place.Width),
    });

    /// <summary>Creates a residual block that changes the resolution.</summary>
    private static ResidualBlock Residual(UNetPlace place, FirFilter filter) => new(place.Residual(place.Width, place.Width) with
    {
        Groups = Groups(place.Width),
        ConvolvesShortcut = true,
        Resample = (image, _) => filter.call(image),
    });
}
