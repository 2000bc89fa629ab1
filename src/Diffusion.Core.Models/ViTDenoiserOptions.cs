namespace Diffusion.Core.Models;

/// <summary>The architecture of a <see cref="ViTDenoiser"/>.</summary>
public sealed record ViTDenoiserOptions : TransformerOptions
{
    /// <summary>The side of the images in pixels that positions are learned for; a multiple of the patch size. 32 by default.</summary>
    /// <remarks>The network takes others too, with interpolated positions.</remarks>
    public int ImageSize { get; init; } = 32;

    /// <summary>The width of the tokens; the heads divide it. 384 by default.</summary>
    public int Width { get; init; } = 384;

    /// <summary>The number of blocks. 12 by default.</summary>
    public int Depth { get; init; } = 12;

    /// <summary>The number of attention heads. 6 by default.</summary>
    public int Heads { get; init; } = 6;

    /// <summary>
    /// True when time, label and vector are tokens before the patches, false, the default, when they are added to every patch.
    /// </summary>
    public bool ConditionTokens { get; init; }

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        Guard.Positive(Depth);
        ValidateHeads(Width, Heads, nameof(Heads));
        ValidateSize(ImageSize, nameof(ImageSize));
    }
}
