using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A block of a <see cref="UNet"/>: a level on the down path, the middle block, or a level on the up path. To implement a custom block,
/// derive from this class, register its parts in the constructor, and call its layers through <see cref="UNetContext.Call"/>.
/// </summary>
/// <remarks>
/// Skip connections are stored on a stack, <see cref="UNetContext.Skips"/>. The network pushes the output of the first convolution. A
/// level on the down path pushes the output of each of its layers, and then the downsampled image. A level on the up path pops one
/// image for each of its layers on the down path, and one more image that the level above pushed, or at the top the output of the first
/// convolution. Custom blocks may use another order, as long as the blocks on the up path match those on the down path.
/// </remarks>
/// <param name="name">The name of the module.</param>
public abstract class UNetBlock(string name) : NamedModule(name)
{
    /// <summary>Computes the output of the block.</summary>
    /// <param name="x">[B, C, ...]. The block does not dispose it.</param>
    /// <param name="context">
    /// The conditions of the network, and the images of skip connections. A block on the down path pushes images, which may include its
    /// output; a block on the up path pops images and disposes them.
    /// </param>
    /// <returns>
    /// [B, C', ...]. The caller must dispose the returned tensor, unless it was pushed: then the block that pops it disposes it.
    /// </returns>
    public abstract Tensor Forward(Tensor x, UNetContext context);
}

/// <summary>The options of a block of a <see cref="UNet"/>. Implement this interface for a custom block.</summary>
public interface IUNetBlockOptions
{
    /// <summary>Creates a block.</summary>
    /// <param name="place">The position of the block in the network, and its widths.</param>
    /// <exception cref="ArgumentException">The options are not valid for this position.</exception>
    UNetBlock Build(UNetPlace place);

    /// <summary>
    /// Returns the side of an image after the block has downsampled it. The default implementation halves it and rounds up.
    /// </summary>
    /// <param name="side">The side in pixels.</param>
    long Halve(long side) => (side + 1) / 2;
}

/// <summary>
/// The options of the standard block: residual blocks, each optionally followed by a layer such as attention, and a change of
/// resolution at the end of a level.
/// </summary>
/// <remarks>
/// State: <c>resnets</c>, <c>attentions</c>, and <c>downsamplers</c> or <c>upsamplers</c>.
/// </remarks>
public sealed record UNetBlockOptions : IUNetBlockOptions
{
    /// <summary>
    /// The layer that follows each residual block; in the middle block, the layer between residual blocks. The default is
    /// <see langword="null"/>: no layer.
    /// </summary>
    public IUNetLayerOptions? Attention { get; init; }

    /// <summary>
    /// The number of layers of <see cref="Attention"/> in the middle block, each between two residual blocks; 0 for a single residual
    /// block. The default is 1.
    /// </summary>
    public int MiddleLayers { get; init; } = 1;

    /// <summary>The change of resolution at the end of the level. The default is <see cref="UNetResampling.Convolution"/>.</summary>
    public UNetResampling Resampling { get; init; } = UNetResampling.Convolution();

    /// <summary>The divisor of the output of each residual block. The default is 1.</summary>
    public double OutputScale { get; init; } = 1;

    /// <summary>Whether each residual block applies its activation to the embedding. The default is <see langword="true"/>.</summary>
    public bool ActivateEmbedding { get; init; } = true;

    /// <inheritdoc/>
    public UNetBlock Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        ArgumentNullException.ThrowIfNull(Resampling);
        var parts = new UNetBlockParts(place with { OutputScale = OutputScale, ActivateEmbedding = ActivateEmbedding });
        return place.Direction switch
        {
            UNetDirection.Down => Down(parts),
            UNetDirection.Middle => Middle(parts),
            _ => Up(parts),
        };
    }

    /// <inheritdoc/>
    public long Halve(long side) => Resampling.Halve(side);

    private EncoderBlock Down(UNetBlockParts parts)
    {
        var place = parts.Place;
        for (var layer = 0; layer < place.Layers; layer++)
            parts.Add(new ResidualBlock(place.Residual(layer == 0 ? place.Inputs : place.Width, place.Width)), Attention);
        parts.RegisterLayers();
        if (place.Resamples)
            parts.ResampleBy("downsamplers", Resampling.Down(place));
        return new EncoderBlock(parts);
    }

    private EncoderBlock Middle(UNetBlockParts parts)
    {
        var place = parts.Place;
        parts.Skips = UNetSkips.None;
        for (var layer = 0; layer <= MiddleLayers; layer++)
            parts.Add(
                new ResidualBlock(place.Residual(layer == 0 ? place.Inputs : place.Width, place.Width)),
                layer < MiddleLayers ? Attention : null);
        parts.RegisterLayers(attentionsFirst: true);
        return new EncoderBlock(parts);
    }

    private DecoderBlock Up(UNetBlockParts parts)
    {
        var place = parts.Place;
        for (var layer = 0; layer <= place.Layers; layer++)
            parts.Add(new ResidualBlock(place.Residual(place.JoinedInputs(layer), place.Width)), Attention);
        parts.RegisterLayers();
        if (place.Resamples)
            parts.ResampleBy("upsamplers", Resampling.Up(place));
        return new DecoderBlock(parts);
    }
}

/// <summary>Options for <see cref="UNetLayout.Middle"/>.</summary>
public static class UNetMiddle
{
    /// <summary>No middle block: the output of the down path is the input of the up path.</summary>
    public static IUNetBlockOptions None { get; } = new Nothing();

    private sealed record Nothing : IUNetBlockOptions
    {
        public UNetBlock Build(UNetPlace place) => new Empty();
    }

    private sealed class Empty() : UNetBlock(nameof(Empty))
    {
        public override Tensor Forward(Tensor x, UNetContext context) => x.alias();
    }
}
