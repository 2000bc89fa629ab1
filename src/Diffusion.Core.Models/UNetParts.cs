namespace Diffusion.Core.Models;

/// <summary>Makes the blocks of a U-Net from its options.</summary>
/// <param name="options">Valid options.</param>
internal sealed class UNetParts(UNetOptions options)
{
    private readonly int[] _resolutions = options.Resolutions();

    /// <summary>The options.</summary>
    public UNetOptions Options { get; } = options;

    /// <summary>The width of every level.</summary>
    public int[] Widths { get; } = options.Widths();

    /// <summary>The number of groups of every norm.</summary>
    public int Groups { get; } = options.Groups();

    /// <summary>The index of the lowest resolution.</summary>
    public int LastLevel => Widths.Length - 1;

    /// <summary>The width of the embedding of time and class: four times the first level's (Ho et al. 2020).</summary>
    public int EmbeddingWidth => 4 * Widths[0];

    /// <summary>True when a level has self-attention.</summary>
    public bool Attends(int level) => Options.AttentionResolutions.Contains(_resolutions[level]);

    /// <summary>A residual block.</summary>
    public ResidualBlock Residual(int inputs, int outputs) => new(new ResidualBlockOptions
    {
        Inputs = inputs,
        Outputs = outputs,
        EmbeddingWidth = EmbeddingWidth,
        Groups = Groups,
        NormEpsilon = Options.NormEpsilon,
        Dropout = Options.Dropout,
        ScaleShift = Options.ScaleShift,
    });

    /// <summary>A self-attention layer.</summary>
    public SelfAttention2d Attention(int channels, bool norm = true)
        => new(channels, Options.HeadWidth, norm ? Groups : null, Options.NormEpsilon);
}
