using System.Text.Json;
using System.Text.Json.Nodes;

namespace Diffusion.Core.Models;

/// <summary>
/// The complete architecture of a <see cref="UNet"/>: the blocks of each level and the middle block, the time encoding, and the
/// conditions. <see cref="UNetOptions.ToLayout"/> creates the layout of a network with uniform levels.
/// </summary>
/// <remarks>Level 0 has the full resolution. Each level but the last halves the resolution.</remarks>
public sealed record UNetLayout
{
    /// <inheritdoc cref="UNetOptions.Dimensions"/>
    public int Dimensions { get; init; } = 2;

    /// <summary>The side of the images in pixels. The default is 32.</summary>
    /// <remarks>
    /// The network accepts images of other sizes if every level has at least one pixel. This is <c>sample_size</c> in diffusers.
    /// </remarks>
    public int ImageSize { get; init; } = 32;

    /// <inheritdoc cref="UNetOptions.Channels"/>
    public int Channels { get; init; } = 3;

    /// <inheritdoc cref="UNetOptions.OutChannels"/>
    public int? OutChannels { get; init; }

    /// <summary>The levels, from the highest resolution to the lowest.</summary>
    public required IReadOnlyList<UNetLevel> Levels { get; init; }

    /// <summary>
    /// The middle block, between the down path and the up path; <see cref="UNetMiddle.None"/> for no block. The default is two residual
    /// blocks with single-head self-attention between them.
    /// </summary>
    public IUNetBlockOptions Middle { get; init; } = new UNetBlockOptions { Attention = new SelfAttentionOptions() };

    /// <summary>The probability of dropout in residual blocks. The default is 0; Ho et al. use 0.1 on CIFAR-10.</summary>
    public double Dropout { get; init; }

    /// <summary>
    /// The number of groups of the group norms, which must divide the width of every level. The default is <see langword="null"/>: the
    /// largest power of two up to 32 that divides all widths into groups of at least four channels, or 1 if there is none.
    /// </summary>
    public int? GroupNormGroups { get; init; }

    /// <summary>The epsilon of the group norms. The default is 1e-5.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>
    /// Whether the embedding scales and shifts the output of the second norm of a residual block. Otherwise, it is added before that
    /// norm. The default is <see langword="false"/>.
    /// </summary>
    public bool ScaleShift { get; init; }

    /// <summary>The activation of residual blocks. The default is <see cref="Activation.Silu"/>.</summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>
    /// The activation in the time embedding and before the last convolution. The default is <see langword="null"/>: the value of
    /// <see cref="Activation"/>.
    /// </summary>
    public Activation? OuterActivation { get; init; }

    /// <summary>The encoding of t as a vector. The default is <see cref="TimeEncoding.Sinusoidal"/>.</summary>
    public TimeEncoding TimeEncoding { get; init; } = TimeEncoding.Sinusoidal();

    /// <summary>
    /// The width of the embedding of the timestep and of each condition. The default is <see langword="null"/>: four times the width of
    /// the first level (Ho et al. 2020).
    /// </summary>
    public int? EmbeddingWidth { get; init; }

    /// <summary>
    /// The width of <see cref="Condition.TimestepCondition"/>, which is projected and added to the encoding of t. The default is
    /// <see langword="null"/>: the network does not use it.
    /// </summary>
    public int? TimestepConditionWidth { get; init; }

    /// <summary>The activation after the time embedding. The default is <see langword="null"/>: no activation.</summary>
    public Activation? TimeActivation { get; init; }

    /// <summary>
    /// The activation of the combined embedding, for blocks that do not apply an activation to it. The default is
    /// <see langword="null"/>: no activation.
    /// </summary>
    public Activation? EmbeddingActivation { get; init; }

    /// <summary>
    /// The condition with the state-dict key <c>class_embedding</c>, such as <see cref="UNetConditioning.Classes"/>. The default is
    /// <see langword="null"/>: no condition.
    /// </summary>
    public UNetConditioning? ClassEmbedding { get; init; }

    /// <summary>
    /// Whether the class embedding is concatenated to the time embedding, which doubles the width of the embedding and cannot be
    /// combined with an <see cref="AddedEmbedding"/>. Otherwise, it is added to the time embedding. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool JoinClassEmbedding { get; init; }

    /// <summary>
    /// A second condition, with the state-dict key <c>add_embedding</c>, which is added to the time embedding. The default is
    /// <see langword="null"/>: no condition.
    /// </summary>
    public UNetConditioning? AddedEmbedding { get; init; }

    /// <summary>
    /// The width of the tokens of <see cref="Condition.EncoderHiddenStates"/>, if a linear layer (<c>encoder_hid_proj</c>) projects them
    /// before cross-attention. The default is <see langword="null"/>: no projection.
    /// </summary>
    public int? SequenceWidth { get; init; }

    /// <summary>The width of the projected tokens. It must be set if and only if <see cref="SequenceWidth"/> is set.</summary>
    public int? ProjectedSequenceWidth { get; init; }

    /// <summary>
    /// Whether x_t is replaced by <c>2 x_t - 1</c>, for data in [0, 1]. The default is <see langword="false"/>.
    /// </summary>
    public bool CenterInput { get; init; }

    /// <summary>The kernel size of the first convolution, an odd number. The default is 3.</summary>
    public int InputKernel { get; init; } = 3;

    /// <summary>The kernel size of the last convolution, an odd number. The default is 3.</summary>
    public int OutputKernel { get; init; } = 3;

    /// <summary>
    /// Whether the output is divided by t, for networks whose timestep is the noise level (Song et al. 2021, appendix H.1). The default
    /// is <see langword="false"/>.
    /// </summary>
    public bool DivideByTime { get; init; }

    /// <summary>
    /// Whether the last convolution is initialized with zeros, so that the first prediction is zero, as in the code of Ho et al. This
    /// improves short training runs. The default is <see langword="true"/>.
    /// </summary>
    public bool ZeroOutput { get; init; } = true;

    /// <summary>
    /// Whether only the inputs of each layer are stored for the backward pass, which recomputes the layer (Chen et al. 2016). This
    /// trades time for memory and takes effect in training mode. The default is <see langword="false"/>.
    /// </summary>
    public bool UseGradientCheckpointing { get; init; }

    /// <summary>The width of the embedding that residual blocks receive.</summary>
    internal int BlockEmbeddingWidth => JoinClassEmbedding ? Layers.Size(2, TimeWidth) : TimeWidth;

    /// <summary>The width of the embedding of time.</summary>
    internal int TimeWidth => EmbeddingWidth ?? Layers.Size(4, Levels[0].Width);

    /// <summary>Returns <see cref="GroupNormGroups"/>, or the default for the widths if it is <see langword="null"/>.</summary>
    public int Groups()
    {
        if (GroupNormGroups is { } chosen)
            return chosen;
        var groups = 32;
        while (groups > 1 && Levels.Any(level => level.Width % groups != 0 || level.Width / groups < 4))
            groups /= 2;
        return groups;
    }

    /// <summary>
    /// Returns the layout as JSON, in the form that a <see cref="ModelFile"/> contains: property names are in snake case, and blocks,
    /// encodings and other strategies are names or objects with a type.
    /// </summary>
    /// <exception cref="NotSupportedException">A strategy is an instance of a custom class, which has no name in files.</exception>
    public JsonObject ToJson() => JsonSerializer.SerializeToNode(this, NetworkJson.Shared.UNetLayout)!.AsObject();

    /// <summary>Returns the side of the images at every level, in pixels.</summary>
    internal int[] Resolutions()
    {
        var sides = new int[Levels.Count];
        for (var k = 0; k < sides.Length; k++)
            sides[k] = k == 0 ? ImageSize : (int)Levels[k - 1].Down.Halve(sides[k - 1]);
        return sides;
    }

    /// <exception cref="ArgumentException">A value is out of range or inconsistent with another.</exception>
    internal void Validate()
    {
        Guard.InRange(Dimensions, 1, 3);
        Guard.Positive(ImageSize);
        Guard.Positive(Channels);
        Guard.Positive(OutChannels ?? Channels, nameof(OutChannels));
        Guard.Positive(NormEpsilon);
        Guard.Positive(EmbeddingWidth ?? 1, nameof(EmbeddingWidth));
        Guard.Positive(TimestepConditionWidth ?? 1, nameof(TimestepConditionWidth));
        Guard.Positive(SequenceWidth ?? 1, nameof(SequenceWidth));
        Guard.Positive(ProjectedSequenceWidth ?? 1, nameof(ProjectedSequenceWidth));
        ArgumentNullException.ThrowIfNull(Activation);
        ArgumentNullException.ThrowIfNull(TimeEncoding);
        ArgumentNullException.ThrowIfNull(Middle);
        if (!(Dropout >= 0 && Dropout < 1))
            throw new ArgumentOutOfRangeException(
                nameof(Dropout), Dropout, Invariant($"{nameof(Dropout)} must lie in [0, 1), got {Dropout}."));
        ValidateInputs();
        ValidateLevels();
    }

    private void ValidateInputs()
    {
        if (JoinClassEmbedding && ClassEmbedding is null)
            throw new ArgumentException(
                $"{nameof(JoinClassEmbedding)} needs a {nameof(ClassEmbedding)}, got none.", nameof(JoinClassEmbedding));
        if (JoinClassEmbedding && AddedEmbedding is not null)
            throw new ArgumentException(
                $"{nameof(AddedEmbedding)} must be null if {nameof(JoinClassEmbedding)} doubles the width of the embedding, got both.",
                nameof(JoinClassEmbedding));
        if (SequenceWidth is null != ProjectedSequenceWidth is null)
            throw new ArgumentException(
                Invariant($"{nameof(SequenceWidth)} and {nameof(ProjectedSequenceWidth)} must both be set or both be null, got ")
                + Invariant($"{SequenceWidth} and ")
                + Invariant($"{ProjectedSequenceWidth}."),
                nameof(SequenceWidth));
        foreach (var (kernel, name) in ((int, string)[])[(InputKernel, nameof(InputKernel)), (OutputKernel, nameof(OutputKernel))])
        {
            if (kernel < 1 || kernel % 2 == 0)
                throw new ArgumentException(Invariant($"{name} must be an odd number of pixels, got {kernel}."), name);
        }
    }

    private void ValidateLevels()
    {
        ArgumentNullException.ThrowIfNull(Levels);
        if (Levels.Count == 0)
            throw new ArgumentException("A U-Net must have at least one level, got none.", nameof(Levels));
        foreach (var level in Levels)
        {
            Guard.NotNull(level, nameof(Levels));
            Guard.NotNull(level.Down, nameof(level.Down));
            Guard.Positive(level.Layers, nameof(level.Layers));
            if (level.Width < 1)
                throw new ArgumentException(
                    Invariant($"Every level must have a positive width, got [{string.Join(", ", Levels.Select(other => other.Width))}]."),
                    nameof(Levels));
        }

        var groups = Guard.Positive(Groups(), nameof(GroupNormGroups));
        if (Levels.FirstOrDefault(level => level.Width % groups != 0) is { } indivisible)
            throw new ArgumentException(
                Invariant($"{nameof(GroupNormGroups)} must divide the width of every level, got {groups} for the width ")
                + Invariant($"{indivisible.Width}."),
                nameof(GroupNormGroups));
        if (Resolutions()[^1] < 1)
            throw new ArgumentException(
                Invariant($"{Levels.Count} levels need an {nameof(ImageSize)} of at least {1 << (Levels.Count - 1)}, got {ImageSize}."),
                nameof(ImageSize));
    }
}
