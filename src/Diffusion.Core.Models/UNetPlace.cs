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
}
