namespace Diffusion.Core.Models;

/// <summary>The architecture of a <see cref="UViT"/>.</summary>
public sealed record UViTOptions : TransformerOptions
{
    /// <summary>
    /// The side of the images or latents in pixels that positions are learned for; a multiple of the patch size. 32 by default.
    /// </summary>
    /// <remarks>The network takes others too, with interpolated positions.</remarks>
    public int ImageSize { get; init; } = 32;

    /// <summary>The width of the tokens, an even number that the heads divide. 512 by default.</summary>
    public int Width { get; init; } = 512;

    /// <summary>The number of blocks, an odd number: as many before the middle one as after it. 13 by default.</summary>
    public int Depth { get; init; } = 13;

    /// <summary>The number of attention heads. 8 by default.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>A bias in the projections to queries, keys and values. Off by default, as in the paper.</summary>
    public bool AttentionBias { get; init; }

    /// <summary>A network between the sines of t and the token of time. Off by default, as in the paper: the sines are the token.</summary>
    public bool TimeNetwork { get; init; }

    /// <summary>A 3x3 convolution over the image that the tokens make. On by default, as in the paper.</summary>
    public bool FinalConvolution { get; init; } = true;

    /// <summary>U-ViT-S: width 512, 13 blocks, 8 heads; 44 million parameters.</summary>
    public static UViTOptions Small { get; } = new();

    /// <summary>U-ViT-S (Deep): width 512, 17 blocks, 8 heads; 58 million parameters.</summary>
    public static UViTOptions SmallDeep { get; } = new() { Depth = 17 };

    /// <summary>U-ViT-M: width 768, 17 blocks, 12 heads; 131 million parameters.</summary>
    public static UViTOptions Middle { get; } = new() { Width = 768, Depth = 17, Heads = 12 };

    /// <summary>U-ViT-L: width 1024, 21 blocks, 16 heads; 287 million parameters.</summary>
    public static UViTOptions Large { get; } = new() { Width = 1024, Depth = 21, Heads = 16 };

    /// <summary>U-ViT-H: width 1152, 29 blocks, 16 heads; 501 million parameters.</summary>
    public static UViTOptions Huge { get; } = new() { Width = 1152, Depth = 29, Heads = 16 };

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        ValidateHeads(Width, Heads, nameof(Heads));
        if (Width % 2 != 0)
            throw new ArgumentException($"{nameof(Width)} must be even for the sines of time, got {Width}.", nameof(Width));
        if (Depth < 1 || Depth % 2 == 0)
            throw new ArgumentException($"{nameof(Depth)} must be a positive odd number, got {Depth}.", nameof(Depth));
        ValidateSize(ImageSize, nameof(ImageSize));
    }
}
