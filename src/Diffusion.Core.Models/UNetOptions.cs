namespace Diffusion.Core.Models;

/// <summary>
/// The architecture of a <see cref="UNet"/>. Levels count from the full resolution down; each level but the last halves the resolution,
/// an odd size rounding up where <see cref="DownsamplePadding"/> is 1.
/// </summary>
public sealed record UNetOptions
{
    /// <summary>The side of the images in pixels, which names the resolutions of <see cref="AttentionResolutions"/>. 32 by default.</summary>
    /// <remarks>The network itself takes images of any size and shape.</remarks>
    public int ImageSize { get; init; } = 32;

    /// <summary>Channels of x_t. 3 by default.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>Channels of the answer; <see cref="Channels"/> by default. Twice as many where the variance is learned too.</summary>
    public int? OutChannels { get; init; }

    /// <summary>The width that <see cref="Multipliers"/> multiply. 64 by default.</summary>
    public int Width { get; init; } = 64;

    /// <summary>The width of each level as a multiple of <see cref="Width"/>; their number is the number of levels. [1, 2, 2] by default.</summary>
    public IReadOnlyList<int> Multipliers { get; init; } = [1, 2, 2];

    /// <summary>The width of each level where it is no multiple; when set, <see cref="Width"/> and <see cref="Multipliers"/> are not used.</summary>
    public IReadOnlyList<int>? LevelWidths { get; init; }

    /// <summary>Residual blocks of each level on the way down; one more on the way up. 2 by default.</summary>
    public int LayersPerBlock { get; init; } = 2;

    /// <summary>Resolutions, as sides in pixels, whose residual blocks are followed by self-attention. None by default.</summary>
    public IReadOnlyList<int> AttentionResolutions { get; init; } = [];

    /// <summary>Channels of one attention head; divides the width of every level with attention. A single head by default.</summary>
    public int? HeadWidth { get; init; }

    /// <summary>Self-attention in the middle, at the lowest resolution. On by default.</summary>
    public bool MiddleAttention { get; init; } = true;

    /// <summary>A group norm before the self-attention in the middle. On by default.</summary>
    public bool MiddleAttentionNorm { get; init; } = true;

    /// <summary>The probability of dropout in the residual blocks. 0 by default; Ho et al. use 0.1 on CIFAR-10.</summary>
    public double Dropout { get; init; }

    /// <summary>
    /// Groups of every group norm; divides the width of every level. By default the largest power of two that does, up to 32 and leaving at
    /// least four channels to a group.
    /// </summary>
    public int? GroupNormGroups { get; init; }

    /// <summary>The epsilon of every group norm. 1e-5 by default.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>True when time and class scale and shift the second norm of a residual block, false when they are added. False by default.</summary>
    public bool ScaleShift { get; init; }

    /// <summary>True to change the resolution inside residual blocks, false to do it with convolutions. False by default.</summary>
    public bool ResidualResampling { get; init; }

    /// <summary>The padding of convolutions that halve the resolution: 1 on every side, or 0 for right and below only. 1 by default.</summary>
    public int DownsamplePadding { get; init; } = 1;

    /// <summary>The number of classes; null, the default, makes the network unconditional. "No class" counts as one where it is trained.</summary>
    public int? Classes { get; init; }

    /// <summary>The order of the time embedding: [cos, sin] when true, [sin, cos] when false. True by default.</summary>
    public bool FlipSinToCos { get; init; } = true;

    /// <summary>The frequency shift of the time embedding; see <see cref="SinusoidalEmbedding"/>. 0 by default.</summary>
    public double FrequencyShift { get; init; }

    /// <summary>
    /// True when the last convolution starts at zero, so that the first prediction is zero, as in the code of Ho et al. True by default:
    /// short trainings get further.
    /// </summary>
    public bool ZeroOutput { get; init; } = true;

    /// <summary>The width of every level, from the full resolution down.</summary>
    /// <exception cref="ArgumentException">There are no levels, or a width is not positive.</exception>
    public int[] Widths()
    {
        ArgumentNullException.ThrowIfNull(Multipliers);
        int[] widths = LevelWidths is null ? [.. Multipliers.Select(multiplier => checked(Width * multiplier))] : [.. LevelWidths];
        if (widths.Length == 0)
            throw new ArgumentException("A U-Net must have at least one level, got none.", nameof(Multipliers));
        if (Array.Exists(widths, width => width < 1))
            throw new ArgumentException($"Every level must have a positive width, got [{string.Join(", ", widths)}].", nameof(Multipliers));
        return widths;
    }

    /// <summary>The side of the images at every level, in pixels, from the full resolution down.</summary>
    public int[] Resolutions()
    {
        var sides = new int[Widths().Length];
        var rounding = RoundsDown ? 0 : 1;
        for (var level = 0; level < sides.Length; level++)
            sides[level] = level == 0 ? ImageSize : (sides[level - 1] + rounding) / 2;
        return sides;
    }

    /// <summary>The number of groups of every group norm.</summary>
    public int Groups()
    {
        var widths = Widths();
        if (GroupNormGroups is { } chosen)
            return chosen;
        var groups = 32;
        while (groups > 1 && Array.Exists(widths, width => width % groups != 0 || width / groups < 4))
            groups /= 2;
        return groups;
    }

    /// <summary>True when halving an odd size rounds down.</summary>
    internal bool RoundsDown => ResidualResampling || DownsamplePadding == 0;

    /// <summary>Refuses options that do not fit each other.</summary>
    /// <exception cref="ArgumentException">The first that does not, with what it is and what was expected.</exception>
    internal void Validate()
    {
        Guard.Positive(ImageSize);
        Guard.Positive(Channels);
        Guard.Positive(OutChannels ?? Channels, nameof(OutChannels));
        Guard.Positive(LayersPerBlock);
        Guard.Positive(NormEpsilon);
        Guard.InRange(DownsamplePadding, 0, 1);
        Guard.Positive(Classes ?? 1, nameof(Classes));
        if (!(Dropout >= 0 && Dropout < 1))
            throw new ArgumentOutOfRangeException(nameof(Dropout), Dropout, $"{nameof(Dropout)} must lie in [0, 1), got {Dropout}.");
        ValidateWidths();
        ValidateAttention();
    }

    private void ValidateWidths()
    {
        var widths = Widths();
        var groups = Guard.Positive(Groups(), nameof(GroupNormGroups));
        if (Array.Find(widths, width => width % groups != 0) is var indivisible and > 0)
            throw new ArgumentException(
                $"{nameof(GroupNormGroups)} must divide the width of every level, got {groups} for the width {indivisible}.", nameof(GroupNormGroups));
        if (widths[0] % 2 != 0)
            throw new ArgumentException($"The first level must have an even width for the time embedding, got {widths[0]}.", nameof(Width));
        if (!(FrequencyShift < widths[0] / 2))
            throw new ArgumentException(
                $"{nameof(FrequencyShift)} must be less than half the first width, {widths[0] / 2}, got {FrequencyShift}.", nameof(FrequencyShift));
        if (Resolutions()[^1] < 1)
            throw new ArgumentException(
                $"{widths.Length} levels need an {nameof(ImageSize)} of at least {1 << (widths.Length - 1)}, got {ImageSize}.", nameof(ImageSize));
    }

    private void ValidateAttention()
    {
        ArgumentNullException.ThrowIfNull(AttentionResolutions);
        var (widths, resolutions) = (Widths(), Resolutions());
        foreach (var resolution in AttentionResolutions)
        {
            if (!resolutions.Contains(resolution))
                throw new ArgumentException(
                    $"Every resolution of {nameof(AttentionResolutions)} must be one of [{string.Join(", ", resolutions)}], got {resolution}.",
                    nameof(AttentionResolutions));
        }

        if (HeadWidth is not { } headWidth)
            return;
        Guard.Positive(headWidth, nameof(HeadWidth));
        for (var level = 0; level < widths.Length; level++)
        {
            var attends = AttentionResolutions.Contains(resolutions[level]) || (MiddleAttention && level == widths.Length - 1);
            if (attends && widths[level] % headWidth != 0)
                throw new ArgumentException(
                    $"{nameof(HeadWidth)} must divide the width of every level with attention, got {headWidth} for the width {widths[level]}.",
                    nameof(HeadWidth));
        }
    }
}
