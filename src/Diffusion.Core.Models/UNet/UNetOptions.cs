namespace Diffusion.Core.Models;

/// <summary>
/// The options of a <see cref="UNet"/> with uniform levels: a width for each level, the same number of residual blocks at every level,
/// and self-attention at selected resolutions. <see cref="ToLayout"/> converts them to a <see cref="UNetLayout"/>, which can describe
/// any U-Net.
/// </summary>
/// <remarks>
/// Level 0 has the full resolution. Each level but the last halves the resolution. Cross-attention, other blocks, and conditions other
/// than class labels require a layout. <see cref="UNetPresets"/> contains well-known networks.
/// </remarks>
public sealed record UNetOptions
{
    /// <summary>
    /// The number of spatial dimensions: 1 for [B, C, L], 2 for [B, C, H, W], or 3 for [B, C, D, H, W]. The default is 2.
    /// </summary>
    public int Dimensions { get; init; } = 2;

    /// <summary>
    /// The side of the images in pixels, which determines the resolutions of the levels for <see cref="AttentionResolutions"/>. The
    /// default is 32.
    /// </summary>
    /// <remarks>The network itself accepts images of other sizes.</remarks>
    public int ImageSize { get; init; } = 32;

    /// <summary>
    /// The number of channels of x_t, including those of an image that <see cref="ImageConditioned"/> concatenates. The default is 3.
    /// </summary>
    public int Channels { get; init; } = 3;

    /// <summary>
    /// The number of channels of the output. The default is <see langword="null"/>: the value of <see cref="Channels"/>. A network that
    /// learns the variance needs twice the number of channels of the data.
    /// </summary>
    public int? OutChannels { get; init; }

    /// <summary>The base width, which <see cref="Multipliers"/> multiply. The default is 64.</summary>
    public int Width { get; init; } = 64;

    /// <summary>The width of each level as a multiple of <see cref="Width"/>. The default is [1, 2, 2]: three levels.</summary>
    public IReadOnlyList<int> Multipliers { get; init; } = [1, 2, 2];

    /// <summary>The number of residual blocks of a level on the down path; there is one more on the up path. The default is 2.</summary>
    public int LayersPerBlock { get; init; } = 2;

    /// <summary>The resolutions, as sides in pixels, at which self-attention follows each residual block. The default is empty.</summary>
    public IReadOnlyList<int> AttentionResolutions { get; init; } = [];

    /// <summary>
    /// The number of channels of each attention head, which must divide the width of every level with attention. The default is
    /// <see langword="null"/>: a single head.
    /// </summary>
    public int? HeadWidth { get; init; }

    /// <summary>
    /// Whether the middle block has self-attention between its two residual blocks. The default is <see langword="true"/>.
    /// </summary>
    public bool MiddleAttention { get; init; } = true;

    /// <summary>
    /// Whether residual blocks change the resolution. Otherwise, convolutions change it. The default is <see langword="false"/>.
    /// </summary>
    public bool ResidualResampling { get; init; }

    /// <summary>
    /// The padding of the convolutions that halve the resolution: 1 pads every side by one pixel, 0 pads only the right and the bottom.
    /// The default is 1.
    /// </summary>
    public int DownsamplePadding { get; init; } = 1;

    /// <inheritdoc cref="UNetLayout.Dropout"/>
    public double Dropout { get; init; }

    /// <inheritdoc cref="UNetLayout.GroupNormGroups"/>
    public int? GroupNormGroups { get; init; }

    /// <inheritdoc cref="UNetLayout.NormEpsilon"/>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <inheritdoc cref="UNetLayout.ScaleShift"/>
    public bool ScaleShift { get; init; }

    /// <inheritdoc cref="UNetLayout.Activation"/>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <inheritdoc cref="UNetLayout.TimeEncoding"/>
    public TimeEncoding TimeEncoding { get; init; } = TimeEncoding.Sinusoidal();

    /// <summary>
    /// The number of classes, including one for "no class" if it is trained. The default is <see langword="null"/>: the network does
    /// not use class labels.
    /// </summary>
    public int? Classes { get; init; }

    /// <inheritdoc cref="UNetLayout.ZeroOutput"/>
    public bool ZeroOutput { get; init; } = true;

    /// <inheritdoc cref="UNetLayout.UseGradientCheckpointing"/>
    public bool UseGradientCheckpointing { get; init; }

    /// <summary>Returns the layout that the options describe.</summary>
    /// <exception cref="ArgumentException">An option is out of range or inconsistent with another.</exception>
    public UNetLayout ToLayout()
    {
        ArgumentNullException.ThrowIfNull(Multipliers);
        ArgumentNullException.ThrowIfNull(AttentionResolutions);
        Guard.Positive(LayersPerBlock);
        Guard.InRange(DownsamplePadding, 0, 1);
        Guard.Positive(Classes ?? 1, nameof(Classes));
        Guard.Positive(HeadWidth ?? 1, nameof(HeadWidth));
        var layout = WithoutAttention();
        layout.Validate();
        CheckAttention();
        var sides = layout.Resolutions();
        var attention = new SelfAttentionOptions { HeadWidth = HeadWidth };
        return layout with
        {
            Levels = [.. layout.Levels.Select((level, k) => AttentionResolutions.Contains(sides[k])
                ? level with { Down = (UNetBlockOptions)level.Down with { Attention = attention } }
                : level)],
            Middle = new UNetBlockOptions { Attention = MiddleAttention ? attention : null },
        };
    }

    private UNetLayout WithoutAttention()
    {
        var block = new UNetBlockOptions
        {
            Resampling = ResidualResampling ? UNetResampling.Residual : UNetResampling.Convolution(DownsamplePadding),
        };
        return new()
        {
            Dimensions = Dimensions,
            ImageSize = ImageSize,
            Channels = Channels,
            OutChannels = OutChannels,
            Levels = [.. Multipliers.Select(multiplier => new UNetLevel
            {
                Width = Models.Layers.Size(Width, multiplier),
                Layers = LayersPerBlock,
                Down = block,
            })],
            Dropout = Dropout,
            GroupNormGroups = GroupNormGroups,
            NormEpsilon = NormEpsilon,
            ScaleShift = ScaleShift,
            Activation = Activation,
            TimeEncoding = TimeEncoding,
            ClassEmbedding = Classes is { } classes ? UNetConditioning.Classes(classes) : null,
            ZeroOutput = ZeroOutput,
            UseGradientCheckpointing = UseGradientCheckpointing,
        };
    }

    private void CheckAttention()
    {
        var layout = WithoutAttention();
        var sides = layout.Resolutions();
        foreach (var resolution in AttentionResolutions)
        {
            if (!sides.Contains(resolution))
                throw new ArgumentException(
                    Invariant($"Every resolution of {nameof(AttentionResolutions)} must be one of [{string.Join(", ", sides)}], ")
                    + Invariant($"got {resolution}."),
                    nameof(AttentionResolutions));
        }

        foreach (var (level, side) in layout.Levels.Zip(sides))
        {
            var attends = AttentionResolutions.Contains(side) || (MiddleAttention && ReferenceEquals(level, layout.Levels[^1]));
            if (attends && HeadWidth is { } headWidth && level.Width % headWidth != 0)
                throw new ArgumentException(
                    Invariant($"{nameof(HeadWidth)} must divide the width of every level with attention, got {headWidth} for the ")
                    + Invariant($"width {level.Width}."),
                    nameof(HeadWidth));
        }
    }
}
