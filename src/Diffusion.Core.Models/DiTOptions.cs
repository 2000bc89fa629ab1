namespace Diffusion.Core.Models;

/// <summary>The architecture of a <see cref="DiT"/>. The named sizes are those of the paper.</summary>
public sealed record DiTOptions : TransformerOptions
{
    private const int Modulations = 6;

    /// <summary>
    /// The side of the images or latents in pixels that positions are made for; a multiple of the patch size. 32 by default.
    /// </summary>
    /// <remarks>The network takes others too: their grid of patches is stretched over the same positions.</remarks>
    public int ImageSize { get; init; } = 32;

    /// <summary>The width of the tokens, a multiple of 4 and of the heads. 384 by default.</summary>
    public int Width { get; init; } = 384;

    /// <summary>The number of blocks. 12 by default.</summary>
    public int Depth { get; init; } = 12;

    /// <summary>The number of attention heads. 6 by default.</summary>
    public int Heads { get; init; } = 6;

    /// <summary>
    /// True for one embedding of time and condition for all blocks, as in the paper; false, the default, for one in each block, as
    /// diffusers' <c>DiTTransformer2DModel</c> has it and its weight files hold it. <see cref="DiT.WithEmbeddingPerBlock"/> leads from
    /// the first form to the second.
    /// </summary>
    public bool SharedEmbedding { get; init; }

    /// <summary>A bias in the projections to queries, keys and values. On by default.</summary>
    public bool AttentionBias { get; init; } = true;

    /// <summary>Learned weight and bias in the norms before the feed-forward layers. Off by default, as in the paper.</summary>
    public bool NormAffine { get; init; }

    /// <summary>
    /// The epsilon of the norms before the feed-forward layers; all others have 1e-6. 1e-6 by default; diffusers' default is 1e-5.
    /// </summary>
    public double NormEpsilon { get; init; } = 1e-6;

    /// <summary>DiT-S: width 384, 12 blocks, 6 heads; 33 million parameters with patches of 2.</summary>
    /// <param name="patchSize">2, 4 and 8 in the paper.</param>
    public static DiTOptions Small(int patchSize = 2) => ImageNet(patchSize, 384, 12, 6);

    /// <summary>DiT-B: width 768, 12 blocks, 12 heads; 130 million parameters with patches of 2.</summary>
    /// <param name="patchSize">2, 4 and 8 in the paper.</param>
    public static DiTOptions Base(int patchSize = 2) => ImageNet(patchSize, 768, 12, 12);

    /// <summary>DiT-L: width 1024, 24 blocks, 16 heads; 458 million parameters with patches of 2.</summary>
    /// <param name="patchSize">2, 4 and 8 in the paper.</param>
    public static DiTOptions Large(int patchSize = 2) => ImageNet(patchSize, 1024, 24, 16);

    /// <summary>DiT-XL: width 1152, 28 blocks, 16 heads; 675 million parameters with patches of 2.</summary>
    /// <param name="patchSize">2, 4 and 8 in the paper.</param>
    public static DiTOptions ExtraLarge(int patchSize = 2) => ImageNet(patchSize, 1152, 28, 16);

    /// <summary>The number of parameters of a network of these options, from the sizes alone.</summary>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
    public long CountParameters()
    {
        Validate();
        long width = Width, pixels = (long)PatchSize * PatchSize, hidden = width * FeedForwardRatio;
        static long Linear(long inputs, long outputs, bool bias = true) => (inputs * outputs) + (bias ? outputs : 0);
        var embedding = TransformerEmbedding.CountParameters(this, width);
        var gates = (Activation ?? Models.Activation.GeluTanh).InputsPerOutput;
        var block = Linear(width, Modulations * width)
            + (3 * Linear(width, width, AttentionBias)) + Linear(width, width)
            + Linear(width, hidden * gates) + Linear(hidden, width)
            + (NormAffine ? 2 * width : 0)
            + (SharedEmbedding ? 0 : embedding);
        return Linear(Channels * pixels, width) + (SharedEmbedding ? embedding : 0) + (Depth * block)
            + Linear(width, 2 * width) + Linear(width, Outputs * pixels);
    }

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        Guard.Positive(Depth);
        Guard.Positive(NormEpsilon);
        ValidateHeads(Width, Heads, nameof(Heads));
        if (Width % 4 != 0)
            throw new ArgumentException($"{nameof(Width)} must be a multiple of 4 for the positions, got {Width}.", nameof(Width));
        ValidateSize(ImageSize, nameof(ImageSize));
    }

    private static DiTOptions ImageNet(int patchSize, int width, int depth, int heads) => new()
    {
        Channels = 4,
        OutChannels = 8,
        Classes = 1000,
        PatchSize = patchSize,
        Width = width,
        Depth = depth,
        Heads = heads,
        SharedEmbedding = true,
    };
}
