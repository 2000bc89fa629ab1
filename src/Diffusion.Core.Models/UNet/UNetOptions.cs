namespace Diffusion.Core.Models;

/// <summary>
/// The architecture of a <see cref="UNet"/>. Levels count from the full resolution down; each but the last halves the resolution.
/// </summary>
/// <remarks>
/// A network of equal levels is described by <see cref="Width"/>, <see cref="Multipliers"/>, <see cref="LayersPerBlock"/>,
/// <see cref="AttentionResolutions"/> and the like; any other by <see cref="Levels"/> and <see cref="Middle"/>, which specify the parts of
/// each
/// block. <see cref="UNetPresets"/> has the options of well-known networks.
/// </remarks>
public sealed partial record UNetOptions
{
    /// <summary>The number of sizes of x_t: 1 for [B, C, L], 2 for [B, C, H, W], 3 for [B, C, D, H, W]. 2 by default.</summary>
    public int Dimensions { get; init; } = 2;

    /// <summary>
    /// The side of the images in pixels, which names the resolutions of <see cref="AttentionResolutions"/>. 32 by default.
    /// </summary>
    /// <remarks>The network itself takes images of any size and shape.</remarks>
    public int ImageSize { get; init; } = 32;

    /// <summary>The channels of x_t, including those of an image joined to it (<see cref="ImageConditioned"/>). The default is 3.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>
    /// The channels of the output. The default is <see cref="Channels"/>; twice as many where the variance is learned too.
    /// </summary>
    public int? OutChannels { get; init; }

    /// <summary>The width that <see cref="Multipliers"/> multiply. 64 by default.</summary>
    public int Width { get; init; } = 64;

    /// <summary>
    /// The width of each level as a multiple of <see cref="Width"/>; their number is the number of levels. [1, 2, 2] by default.
    /// </summary>
    public IReadOnlyList<int> Multipliers { get; init; } = [1, 2, 2];

    /// <summary>
    /// The width of each level where it is no multiple; when set, <see cref="Width"/> and <see cref="Multipliers"/> are not used.
    /// </summary>
    public IReadOnlyList<int>? LevelWidths { get; init; }

    /// <summary>Residual blocks of each level on the way down; one more on the way up. 2 by default.</summary>
    public int LayersPerBlock { get; init; } = 2;

    /// <summary>Resolutions, as sides in pixels, whose residual blocks are followed by self-attention. None by default.</summary>
    public IReadOnlyList<int> AttentionResolutions { get; init; } = [];

    /// <summary>Channels of one attention head; divides the width of every level with attention. A single head by default.</summary>
    public int? HeadWidth { get; init; }

    /// <summary>Self-attention in the middle, at the lowest resolution. On by default.</summary>
    public bool MiddleAttention { get; init; } = true;

    /// <summary>True to change the resolution inside residual blocks, false to do it with convolutions. False by default.</summary>
    public bool ResidualResampling { get; init; }

    /// <summary>
    /// The padding of convolutions that halve the resolution: 1 on every side, or 0 for right and below only. 1 by default.
    /// </summary>
    public int DownsamplePadding { get; init; } = 1;

    /// <summary>
    /// The parts of each level. When set, the options of equal levels (<see cref="Width"/>, <see cref="Multipliers"/>,
    /// <see cref="LevelWidths"/>, <see cref="LayersPerBlock"/>, <see cref="AttentionResolutions"/>, <see cref="ResidualResampling"/>,
    /// <see cref="DownsamplePadding"/>) are not used. Null by default.
    /// </summary>
    public IReadOnlyList<UNetLevel>? Levels { get; init; }

    /// <summary>
    /// The parts of the middle; <see cref="UNetMiddle.None"/> for no middle. By default two residual blocks with self-attention between
    /// them, of <see cref="HeadWidth"/>, where <see cref="MiddleAttention"/> is set.
    /// </summary>
    public IUNetBlockOptions? Middle { get; init; }

    /// <summary>The probability of dropout in the residual blocks. 0 by default; Ho et al. use 0.1 on CIFAR-10.</summary>
    public double Dropout { get; init; }

    /// <summary>
    /// Groups of every group norm; divides the width of every level. By default the largest power of two that does, up to 32 and leaving at
    /// least four channels to a group.
    /// </summary>
    public int? GroupNormGroups { get; init; }

    /// <summary>The epsilon of every group norm. 1e-5 by default.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>
    /// True when time and class scale and shift the second norm of a residual block, false when they are added. False by default.
    /// </summary>
    public bool ScaleShift { get; init; }

    /// <summary>The nonlinearity of residual blocks. <see cref="Activation.Silu"/> by default.</summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>
    /// The nonlinearity inside the embedding of time and before the last convolution; <see cref="Activation"/> by default.
    /// </summary>
    public Activation? OuterActivation { get; init; }

    /// <summary>How t is written as a vector. <see cref="TimeEncoding.Sinusoidal"/> by default.</summary>
    public TimeEncoding TimeEncoding { get; init; } = TimeEncoding.Sinusoidal();

    /// <summary>The width of the embedding of time and class; four times the first level's by default (Ho et al. 2020).</summary>
    public int? EmbeddingWidth { get; init; }

    /// <summary>The width of <see cref="Condition.TimestepCondition"/>, which joins the encoding of t. Null, the default, for none.</summary>
    public int? TimestepConditionWidth { get; init; }

    /// <summary>A nonlinearity after the embedding of time. None by default.</summary>
    public Activation? TimeActivation { get; init; }

    /// <summary>
    /// A nonlinearity after the sum of all embeddings, for blocks that do not activate it themselves. None by default.
    /// </summary>
    public Activation? EmbeddingActivation { get; init; }

    /// <summary>
    /// The number of classes; the default, <see langword="null"/>, is an unconditional network. "No class" counts as one where it is
    /// trained. Short for
    /// <see cref="UNetConditioning.Classes"/> as <see cref="ClassEmbedding"/>.
    /// </summary>
    public int? Classes { get; init; }

    /// <summary>
    /// The condition in addition to time, as <c>class_embedding</c>. The default, <see langword="null"/>, is that of <see cref="Classes"/>.
    /// </summary>
    public UNetConditioning? ClassEmbedding { get; init; }

    /// <summary>
    /// True to join the class embedding to that of time, which doubles its width and excludes an
    /// <see cref="AddedEmbedding"/>; false to add it. False by default.
    /// </summary>
    public bool JoinClassEmbedding { get; init; }

    /// <summary>
    /// A further condition, as <c>add_embedding</c>, which is added to the embedding. The default is <see langword="null"/>: none.
    /// </summary>
    public UNetConditioning? AddedEmbedding { get; init; }

    /// <summary>
    /// The width of the tokens of <see cref="Condition.EncoderHiddenStates"/> where they go through a linear layer, <c>encoder_hid_proj</c>, before
    /// they are attended to; null, the default, where they are taken as they are.
    /// </summary>
    public int? SequenceWidth { get; init; }

    /// <summary>The width that they have after it; required where <see cref="SequenceWidth"/> is set.</summary>
    public int? ProjectedSequenceWidth { get; init; }

    /// <summary>True to take <c>2 x - 1</c> in place of x_t, for data in [0, 1]. False by default.</summary>
    public bool CenterInput { get; init; }

    /// <summary>The pixels of the first convolution along each size, an odd number. 3 by default.</summary>
    public int InputKernel { get; init; } = 3;

    /// <summary>The pixels of the last convolution along each size, an odd number. 3 by default.</summary>
    public int OutputKernel { get; init; } = 3;

    /// <summary>
    /// Whether to divide the output by t, for a t that is a noise level (Song et al. 2021, appendix H.1). False by default.
    /// </summary>
    public bool DivideByTime { get; init; }

    /// <summary>
    /// True when the last convolution starts at zero, so that the first prediction is zero, as in the code of Ho et al. True by default:
    /// short trainings get further.
    /// </summary>
    public bool ZeroOutput { get; init; } = true;

    /// <summary>
    /// True to keep only the input of each layer for the gradient, and compute the rest again (Chen et al. 2016): less memory for a second
    /// forward pass. False by default; the results are the same.
    /// </summary>
    public bool UseGradientCheckpointing { get; init; }
}
