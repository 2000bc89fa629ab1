namespace Diffusion.Core.Models;

/// <summary>The codebook of a <see cref="VectorQuantizer"/>.</summary>
public sealed record VectorQuantizerOptions
{
    /// <summary>K, the number of vectors in the codebook. 256 by default.</summary>
    public int Codes { get; init; } = 256;

    /// <summary>D, the width of each vector.</summary>
    public required int Width { get; init; }

    /// <summary>beta of the loss. 0.25 by default (van den Oord et al. 2017, eq. 3).</summary>
    public double Beta { get; init; } = 0.25;

    /// <summary>
    /// True, the default, when beta weighs the codebook term, as in the released code of Esser et al. 2021 and in diffusers; false when it
    /// weighs the commitment term, as in the paper.
    /// </summary>
    public bool LegacyBeta { get; init; } = true;

    /// <summary>
    /// The decay of a codebook that is a moving average of the vectors it stands for, in place of one that is learned by gradient: 0.99,
    /// say. Null, the default, for the gradient. It moves in training mode only.
    /// </summary>
    /// <remarks>
    /// Source: van den Oord et al. 2017, appendix A.1. The loss is then beta times the commitment term alone. The codebook moves in the
    /// forward pass, and so also in a step that a trainer skips; values that are not finite count as 0.
    /// </remarks>
    public double? AverageDecay { get; init; }
}
