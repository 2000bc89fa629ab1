namespace Diffusion.Core.Models;

/// <summary>Where in a <see cref="UNet"/> a block stands, and how wide it is: what block options build from.</summary>
public sealed record UNetPlace
{
    /// <summary>The architecture of the whole network.</summary>
    public required UNetOptions Network { get; init; }

    /// <summary>On the way down, in the middle or on the way up.</summary>
    public required UNetDirection Direction { get; init; }

    /// <summary>The level, from 0 at the full resolution.</summary>
    public required int Level { get; init; }

    /// <summary>Channels that come in.</summary>
    public required int Inputs { get; init; }

    /// <summary>Channels of this level, which its residual blocks give.</summary>
    public required int Width { get; init; }

    /// <summary>Channels of the level above, which the last image that crosses over to this level has; its own at the top.</summary>
    public required int WidthAbove { get; init; }

    /// <summary>Residual blocks of this level on the way down.</summary>
    public required int Layers { get; init; }

    /// <summary>
    /// True where the block changes the resolution at its end: on the way down all levels but the last, on the way up all but the
    /// first.
    /// </summary>
    public required bool Resamples { get; init; }

    /// <summary>What the sum in each residual block is divided by. 1 by default.</summary>
    public double OutputScale { get; init; } = 1;

    /// <summary>Activate the embedding in each residual block. On by default.</summary>
    public bool ActivateEmbedding { get; init; } = true;

    /// <summary>The options of a residual block of this network.</summary>
    /// <param name="inputs">Channels that come in.</param>
    /// <param name="outputs">Channels that go out.</param>
    public ResidualBlockOptions Residual(int inputs, int outputs) => new()
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

/// <summary>Where the blocks of a U-Net stand.</summary>
internal static class UNetPlaces
{
    /// <summary>The levels on the way down, in the order in which they are called.</summary>
    public static IEnumerable<UNetPlace> Down(UNetOptions options)
    {
        var levels = options.ToLevels();
        return levels.Select((level, k) => new UNetPlace
        {
            Network = options,
            Direction = UNetDirection.Down,
            Level = k,
            Inputs = levels[Math.Max(k - 1, 0)].Width,
            Width = level.Width,
            WidthAbove = levels[Math.Max(k - 1, 0)].Width,
            Layers = level.Layers,
            Resamples = k < levels.Count - 1,
        });
    }

    /// <summary>The middle.</summary>
    public static UNetPlace Middle(UNetOptions options) => Down(options).Last() is var last
        ? last with { Direction = UNetDirection.Middle, Inputs = last.Width, Resamples = false }
        : throw new InvalidOperationException();

    /// <summary>The levels on the way up, in the order in which they are called.</summary>
    public static IEnumerable<UNetPlace> Up(UNetOptions options)
    {
        var levels = options.ToLevels();
        return Down(options).Reverse().Select(place => place with
        {
            Direction = UNetDirection.Up,
            Inputs = levels[Math.Min(place.Level + 1, levels.Count - 1)].Width,
            Resamples = place.Level > 0,
        });
    }
}

/// <summary>Where in a <see cref="UNet"/> a block stands.</summary>
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
    /// <summary>Channels of the level.</summary>
    public required int Width { get; init; }

    /// <summary>Residual blocks on the way down; one more on the way up. 2 by default.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>The block on the way down. Residual blocks without attention, and a convolution that halves, by default.</summary>
    public IUNetBlockOptions Down { get; init; } = new UNetBlockOptions();

    /// <summary>The block on the way up. The default is that of the way down.</summary>
    public IUNetBlockOptions? Up { get; init; }
}
