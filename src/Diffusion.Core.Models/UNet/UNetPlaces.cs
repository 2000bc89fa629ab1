namespace Diffusion.Core.Models;

/// <summary>The position of a block in a <see cref="UNet"/>, and its widths.</summary>
public sealed record UNetPlace
{
    /// <summary>The architecture of the network.</summary>
    public required UNetLayout Network { get; init; }

    /// <summary>Whether the block is on the way down, in the middle, or on the way up.</summary>
    public required UNetDirection Direction { get; init; }

    /// <summary>The number of the level; 0 is the full resolution.</summary>
    public required int Level { get; init; }

    /// <summary>The number of channels of the input.</summary>
    public required int Inputs { get; init; }

    /// <summary>The width of the level: the number of channels that its residual blocks return.</summary>
    public required int Width { get; init; }

    /// <summary>
    /// The width of the level above, which the last image has that a skip connection carries to this level; at the top, that of the level
    /// itself.
    /// </summary>
    public required int WidthAbove { get; init; }

    /// <summary>The number of residual blocks of the level on the way down.</summary>
    public required int Layers { get; init; }

    /// <summary>
    /// Whether the block changes the resolution at its end: on the way down every level but the last, on the way up every level but the first.
    /// </summary>
    public required bool Resamples { get; init; }

    /// <summary>The divisor of the sum in each residual block. The default is 1.</summary>
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

    /// <summary>The number of input channels of a residual block on the way up, to whose input a skip connection is concatenated.</summary>
    internal int JoinedInputs(int layer) => (layer == 0 ? Inputs : Width) + (layer == Layers ? WidthAbove : Width);
}

/// <summary>The positions of the blocks of a U-Net.</summary>
internal static class UNetPlaces
{
    /// <summary>Returns the levels on the way down, in the order in which they are called.</summary>
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

    /// <summary>Returns the middle.</summary>
    public static UNetPlace Middle(UNetLayout layout)
    {
        var last = Down(layout).Last();
        return last with { Direction = UNetDirection.Middle, Inputs = last.Width, Resamples = false };
    }

    /// <summary>Returns the levels on the way up, in the order in which they are called.</summary>
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

/// <summary>The parts of a <see cref="UNet"/>.</summary>
public enum UNetDirection
{
    /// <summary>On the way down, to lower resolutions.</summary>
    Down,

    /// <summary>At the lowest resolution.</summary>
    Middle,

    /// <summary>On the way up.</summary>
    Up,
}

/// <summary>One level of a <see cref="UNet"/>: its width, and its blocks on the way down and on the way up.</summary>
public sealed record UNetLevel
{
    /// <summary>The number of channels of the level.</summary>
    public required int Width { get; init; }

    /// <summary>The number of residual blocks on the way down; there is one more on the way up. The default is 2.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>The block on the way down. The default is residual blocks without attention, and a convolution that halves.</summary>
    public IUNetBlockOptions Down { get; init; } = new UNetBlockOptions();

    /// <summary>The block on the way up. The default, <see langword="null"/>, is <see cref="Down"/>.</summary>
    public IUNetBlockOptions? Up { get; init; }
}
