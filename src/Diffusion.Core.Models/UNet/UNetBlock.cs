using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A block of a <see cref="UNet"/>: a level on the way down, the middle, or a level on the way up. Derive from it for a custom block, register
/// its parts in the constructor, and call its layers through <see cref="UNetContext.Call"/>.
/// </summary>
/// <remarks>
/// Skip connections are a stack. The network pushes the output of the first convolution. A level on the way down pushes the output of each of
/// its layers, and then the image of half the resolution. A level on the way up pops one image for each of its layers on the way down and one
/// more, which comes from the level above. Custom blocks may use another order, if the blocks on the way up pop what was pushed.
/// </remarks>
/// <param name="name">The name of the module.</param>
public abstract class UNetBlock(string name) : NamedModule(name)
{
    /// <summary>Computes the output of the block.</summary>
    /// <param name="x">[B, C, ...]. The block does not dispose it.</param>
    /// <param name="context">
    /// The conditions of the network, and the images of skip connections. A block on the way down pushes images, which may include its output;
    /// a block on the way up pops them, and disposes what it popped.
    /// </param>
    /// <returns>[B, C', ...]. The caller must dispose the returned tensor, unless it was pushed: then the context disposes it.</returns>
    public abstract Tensor Forward(Tensor x, UNetContext context);
}

/// <summary>The options of a block of a <see cref="UNet"/>. Implement it for a custom block.</summary>
public interface IUNetBlockOptions
{
    /// <summary>Creates a block.</summary>
    /// <param name="place">The position of the block in the network, and its widths.</param>
    /// <exception cref="ArgumentException">The options do not fit the position.</exception>
    UNetBlock Build(UNetPlace place);

    /// <summary>Returns the side of an image after the block has halved it on the way down. The default rounds up.</summary>
    /// <param name="side">The side in pixels.</param>
    long Halve(long side) => (side + 1) / 2;
}

/// <summary>
/// The standard block: residual blocks, each followed by a layer such as attention, and a change of resolution at the end of a level.
/// </summary>
/// <remarks>
/// State: <c>resnets</c>, <c>attentions</c>, and <c>downsamplers</c> or <c>upsamplers</c>.
/// </remarks>
public sealed record UNetBlockOptions : IUNetBlockOptions
{
    /// <summary>
    /// The layer that follows each residual block; in the middle, the layers between residual blocks. The default, <see langword="null"/>,
    /// is none.
    /// </summary>
    public IUNetLayerOptions? Attention { get; init; }

    /// <summary>
    /// The number of attention layers in the middle, each between two residual blocks; 0 for a single residual block. The default is 1.
    /// </summary>
    public int MiddleLayers { get; init; } = 1;

    /// <summary>The change of resolution at the end of the level. The default is <see cref="UNetResampling.Convolution"/>.</summary>
    public UNetResampling Resampling { get; init; } = UNetResampling.Convolution();

    /// <summary>The divisor of the sum in each residual block. The default is 1.</summary>
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

/// <summary>The middle of a <see cref="UNet"/> without a block.</summary>
public static class UNetMiddle
{
    /// <summary>No block: the output of the lowest level on the way down is the input of the way up.</summary>
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
