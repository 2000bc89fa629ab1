namespace Diffusion.Core.Models;

/// <summary>Transformer layers after the residual blocks of a level, with cross-attention to the sequence of the condition.</summary>
public sealed record SpatialTransformerOptions : IUNetLayerOptions
{
    /// <summary>The number of attention heads; divides the width of the level. 8 by default, as in Stable Diffusion 1.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>Transformer layers after each residual block. 1 by default.</summary>
    public int Layers { get; init; } = 1;

    /// <summary>The width of the tokens that are attended to.</summary>
    public required int ContextWidth { get; init; }

    /// <summary>
    /// True for linear projections in and out (Stable Diffusion 2), false for convolutions of one pixel. False by default.
    /// </summary>
    public bool LinearProjection { get; init; }

    /// <summary>True where the first attention of each layer too attends to the tokens, not to the pixels. False by default.</summary>
    public bool OnlyCrossAttention { get; init; }

    /// <inheritdoc/>
    public IUNetLayer Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        return new SpatialTransformer(this, place.Width, place.Network.Groups(), place.Network.Dimensions);
    }
}
