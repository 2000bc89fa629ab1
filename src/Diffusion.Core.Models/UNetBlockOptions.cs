namespace Diffusion.Core.Models;

/// <summary>
/// The usual block: residual blocks, each followed by a layer such as attention, and a change of resolution at the end of a level.
/// </summary>
public sealed record UNetBlockOptions : IUNetBlockOptions
{
    /// <summary>What follows each residual block; in the middle, what stands between the two. Null, the default, for nothing.</summary>
    public IUNetLayerOptions? Attention { get; init; }

    /// <summary>
    /// The attention layers in the middle, each between two residual blocks. 1 by default; 0 for a single residual block.
    /// </summary>
    public int MiddleLayers { get; init; } = 1;

    /// <summary>How the resolution changes at the end of the level. <see cref="UNetResampling.Convolution"/> by default.</summary>
    public IUNetResampling Resampling { get; init; } = UNetResampling.Convolution();

    /// <summary>What the sum in each residual block is divided by. 1 by default.</summary>
    public double OutputScale { get; init; } = 1;

    /// <summary>Activate the embedding in each residual block. On by default.</summary>
    public bool ActivateEmbedding { get; init; } = true;

    /// <inheritdoc/>
    public UNetBlock Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        var here = place with { OutputScale = OutputScale, ActivateEmbedding = ActivateEmbedding };
        return place.Direction switch
        {
            UNetDirection.Down => new DownBlock(this, here),
            UNetDirection.Middle => new MiddleBlock(this, here),
            _ => new UpBlock(this, here),
        };
    }

    /// <inheritdoc/>
    public long Halve(long side) => Resampling.Halve(side);
}
