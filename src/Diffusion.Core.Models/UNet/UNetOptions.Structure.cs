namespace Diffusion.Core.Models;

/// <content>The levels that the options specify, and their validation.</content>
public sealed partial record UNetOptions
{
    /// <summary>The width of the embedding that residual blocks receive.</summary>
    internal int BlockEmbeddingWidth => JoinClassEmbedding ? checked(2 * TimeWidth) : TimeWidth;

    /// <summary>The width of the embedding of time.</summary>
    internal int TimeWidth => EmbeddingWidth ?? checked(4 * Widths()[0]);

    /// <summary>The width of every level, from the full resolution down.</summary>
    /// <exception cref="ArgumentException">There are no levels, or a width is not positive.</exception>
    public int[] Widths()
    {
        ArgumentNullException.ThrowIfNull(Multipliers);
        int[] widths = Levels is not null ? [.. Levels.Select(level => level.Width)]
            : LevelWidths is not null ? [.. LevelWidths]
            : [.. Multipliers.Select(multiplier => checked(Width * multiplier))];
        if (widths.Length == 0)
            throw new ArgumentException("A U-Net must have at least one level, got none.", nameof(Multipliers));
        if (Array.Exists(widths, width => width < 1))
            throw new ArgumentException($"Every level must have a positive width, got [{string.Join(", ", widths)}].", nameof(Multipliers));
        return widths;
    }

    /// <summary>The side of the images at every level, in pixels, from the full resolution down.</summary>
    public int[] Resolutions()
    {
        Func<long, long>[] halves = Levels is not null
            ? [.. Levels.Select(level => (Func<long, long>)level.Down.Halve)]
            : [.. Widths().Select(_ => (Func<long, long>)Resampling().Halve)];
        var sides = new int[halves.Length];
        for (var level = 0; level < sides.Length; level++)
            sides[level] = level == 0 ? ImageSize : (int)halves[level - 1](sides[level - 1]);
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

    /// <summary><see cref="Levels"/>, or the equal levels that the other options describe.</summary>
    public IReadOnlyList<UNetLevel> ToLevels()
    {
        if (Levels is not null)
            return Levels;
        var (widths, sides, resampling) = (Widths(), Resolutions(), Resampling());
        var attention = new SelfAttentionOptions { HeadWidth = HeadWidth };
        return [.. widths.Select((width, level) => new UNetLevel
        {
            Width = width,
            Layers = LayersPerBlock,
            Down = new UNetBlockOptions
            {
                Attention = AttentionResolutions.Contains(sides[level]) ? attention : null,
                Resampling = resampling,
            },
        })];
    }

    /// <summary><see cref="Middle"/>, or what the other options describe.</summary>
    public IUNetBlockOptions ToMiddle()
        => Middle ?? new UNetBlockOptions { Attention = MiddleAttention ? new SelfAttentionOptions { HeadWidth = HeadWidth } : null };

    /// <summary>Throws for options that do not fit each other.</summary>
    /// <exception cref="ArgumentException">The first that does not, with what it is and what was expected.</exception>
    internal void Validate()
    {
        Guard.InRange(Dimensions, 1, 3);
        Guard.Positive(ImageSize);
        Guard.Positive(Channels);
        Guard.Positive(OutChannels ?? Channels, nameof(OutChannels));
        Guard.Positive(LayersPerBlock);
        Guard.Positive(NormEpsilon);
        Guard.InRange(DownsamplePadding, 0, 1);
        Guard.Positive(Classes ?? 1, nameof(Classes));
        Guard.Positive(EmbeddingWidth ?? 1, nameof(EmbeddingWidth));
        Guard.Positive(TimestepConditionWidth ?? 1, nameof(TimestepConditionWidth));
        Guard.Positive(SequenceWidth ?? 1, nameof(SequenceWidth));
        Guard.Positive(ProjectedSequenceWidth ?? 1, nameof(ProjectedSequenceWidth));
        ArgumentNullException.ThrowIfNull(Activation);
        ArgumentNullException.ThrowIfNull(TimeEncoding);
        if (!(Dropout >= 0 && Dropout < 1))
            throw new ArgumentOutOfRangeException(nameof(Dropout), Dropout, $"{nameof(Dropout)} must lie in [0, 1), got {Dropout}.");
        ValidateInputs();
        ValidateWidths();
        if (Levels is null)
            ValidateAttention();
    }

    private UNetResampling Resampling() => ResidualResampling ? UNetResampling.Residual : UNetResampling.Convolution(DownsamplePadding);

    private void ValidateInputs()
    {
        if (Classes is not null && ClassEmbedding is not null)
            throw new ArgumentException(
                $"{nameof(Classes)} is short for a {nameof(ClassEmbedding)}: give one of them, got both.", nameof(Classes));
        if (JoinClassEmbedding && Classes is null && ClassEmbedding is null)
            throw new ArgumentException(
                $"{nameof(JoinClassEmbedding)} needs a {nameof(ClassEmbedding)}, got none.", nameof(JoinClassEmbedding));
        if (JoinClassEmbedding && AddedEmbedding is not null)
            throw new ArgumentException(
                $"{nameof(AddedEmbedding)} has the width of time alone: it cannot be added where {nameof(JoinClassEmbedding)} doubles it.",
                nameof(JoinClassEmbedding));
        if (SequenceWidth is null != ProjectedSequenceWidth is null)
            throw new ArgumentException(
                $"{nameof(SequenceWidth)} and {nameof(ProjectedSequenceWidth)} go together, got {SequenceWidth} and "
                + $"{ProjectedSequenceWidth}.",
                nameof(SequenceWidth));
        foreach (var (kernel, name) in ((int, string)[])[(InputKernel, nameof(InputKernel)), (OutputKernel, nameof(OutputKernel))])
        {
            if (kernel < 1 || kernel % 2 == 0)
                throw new ArgumentException($"{name} must be an odd number of pixels, got {kernel}.", name);
        }
    }

    private void ValidateWidths()
    {
        var widths = Widths();
        var groups = Guard.Positive(Groups(), nameof(GroupNormGroups));
        if (Array.Find(widths, width => width % groups != 0) is var indivisible and > 0)
            throw new ArgumentException(
                $"{nameof(GroupNormGroups)} must divide the width of every level, got {groups} for the width {indivisible}.",
                nameof(GroupNormGroups));
        foreach (var level in ToLevels())
            Guard.Positive(level.Layers, nameof(level.Layers));
        if (Resolutions()[^1] < 1)
            throw new ArgumentException(
                $"{widths.Length} levels need an {nameof(ImageSize)} of at least {1 << (widths.Length - 1)}, got {ImageSize}.",
                nameof(ImageSize));
    }

    private void ValidateAttention()
    {
        ArgumentNullException.ThrowIfNull(AttentionResolutions);
        var (widths, resolutions) = (Widths(), Resolutions());
        foreach (var resolution in AttentionResolutions)
        {
            if (!resolutions.Contains(resolution))
                throw new ArgumentException(
                    $"Every resolution of {nameof(AttentionResolutions)} must be one of "
                    + $"[{string.Join(", ", resolutions)}], got {resolution}.",
                    nameof(AttentionResolutions));
        }

        if (HeadWidth is not { } headWidth)
            return;
        Guard.Positive(headWidth, nameof(HeadWidth));
        for (var level = 0; level < widths.Length; level++)
        {
            var attends = AttentionResolutions.Contains(resolutions[level])
                || (MiddleAttention && Middle is null && level == widths.Length - 1);
            if (attends && widths[level] % headWidth != 0)
                throw new ArgumentException(
                    $"{nameof(HeadWidth)} must divide the width of every level with attention, got {headWidth} for "
                    + $"the width {widths[level]}.",
                    nameof(HeadWidth));
        }
    }
}
