namespace Diffusion.Core.Models;

/// <summary>The position of a block in a <see cref="UNet"/>, and its widths.</summary>
public sealed record UNetPlace
{
    /// <summary>The architecture of the network.</summary>
    public required UNetLayout Network { get; init; }

    /// <summary>Specifies whether the block is on the down path, the middle block, or on the up path.</summary>
    public required UNetDirection Direction { get; init; }

    /// <summary>The index of the level. Level 0 has the full resolution.</summary>
    public required int Level { get; init; }

    /// <summary>The number of channels of the input.</summary>
    public required int Inputs { get; init; }

    /// <summary>The width of the level: the number of output channels of its residual blocks.</summary>
    public required int Width { get; init; }

    /// <summary>
    /// The width of the level above; at level 0, the width of the level itself. This is the number of channels of the skip connection
    /// to the last residual block on the up path.
    /// </summary>
    public required int WidthAbove { get; init; }

    /// <summary>The number of residual blocks of the level on the down path.</summary>
    public required int Layers { get; init; }

    /// <summary>
    /// Whether the block ends with a change of resolution: on the down path at every level but the last, on the up path at every level
    /// but level 0.
    /// </summary>
    public required bool Resamples { get; init; }

    /// <summary>The divisor of the output of each residual block. The default is 1.</summary>
    public double OutputScale { get; init; } = 1;

    /// <summary>Whether each residual block applies its activation to the embedding. The default is <see langword="true"/>.</summary>
    public bool ActivateEmbedding { get; init; } = true;

    /// <summary>Returns the options of a residual block of this network.</summary>
    /// <param name="inputs">The number of channels of the input.</param>
    /// <param name="outputs">The number of channels of the output.</param>
    internal ResidualBlockOptions Residual(int inputs, int outputs) => new()
    {
        Dimensions = Network.Dimensions,
        Inputs = inputs,
        Outputs = outputs,
        EmbeddingWidth = Network.BlockEmbeddingWidth,
        Groups = Network.Groups(),
        NormEpsilon = Network.NormEpsilon,
        Dropout = Network.Dropout,
        ScaleShift = Network.ScaleShift,
        Activation = Network.Activation,
        OutputScale = OutputScale,
        ActivateEmbedding = ActivateEmbedding,
    };

    /// <summary>
    /// Returns the number of input channels of a residual block on the up path, including those of its skip connection.
    /// </summary>
    internal int JoinedInputs(int layer) => (layer == 0 ? Inputs : Width) + (layer == Layers ? WidthAbove : Width);
}

/// <summary>The positions of the blocks of a U-Net.</summary>
internal static class UNetPlaces
{
    /// <summary>Returns the positions on the down path, in the order in which the blocks are called.</summary>
    public static IEnumerable<UNetPlace> Down(UNetLayout layout)
    {
        var levels = layout.Levels;
        return levels.Select((level, k) => new UNetPlace
        {
            Network = layout,
            Direction = UNetDirection.Down,
            Level = k,
            Inputs = levels[Math.Max(k - 1, 0)].Width,
            Width = level.Width,
            WidthAbove = levels[Math.Max(k - 1, 0)].Width,
            Layers = level.Layers,
            Resamples = k < levels.Count - 1,
        });
    }

    /// <summary>Returns the position of the middle block.</summary>
    public static UNetPlace Middle(UNetLayout layout)
    {
        var last = Down(layout).Last();
        return last with { Direction = UNetDirection.Middle, Inputs = last.Width, Resamples = false };
    }

    /// <summary>Returns the positions on the up path, in the order in which the blocks are called.</summary>
    public static IEnumerable<UNetPlace> Up(UNetLayout layout)
    {
        var levels = layout.Levels;
        return Down(layout).Reverse().Select(place => place with
        {
            Direction = UNetDirection.Up,
            Inputs = levels[Math.Min(place.Level + 1, levels.Count - 1)].Width,
            Resamples = place.Level > 0,
        });
    }
}

/// <summary>The part of a <see cref="UNet"/> to which a block belongs.</summary>
public enum UNetDirection
{
    /// <summary>The down path, from the full resolution to the lowest.</summary>
    Down,

    /// <summary>The middle block, at the lowest resolution.</summary>
    Middle,

    /// <summary>The up path, from the lowest resolution to the full one.</summary>
    Up,
}

/// <summary>One level of a <see cref="UNet"/>: its width, and its blocks on the down path and on the up path.</summary>
public sealed record UNetLevel
{
    /// <summary>The number of channels of the level.</summary>
    public required int Width { get; init; }

    /// <summary>The number of residual blocks on the down path. Most blocks have one more on the up path. The default is 2.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>
    /// The block on the down path. The default is residual blocks without attention, followed by a convolution that halves the
    /// resolution.
    /// </summary>
    public IUNetBlockOptions Down { get; init; } = new UNetBlockOptions();

    /// <summary>The block on the up path. The default is <see langword="null"/>: the value of <see cref="Down"/>.</summary>
    public IUNetBlockOptions? Up { get; init; }
}
