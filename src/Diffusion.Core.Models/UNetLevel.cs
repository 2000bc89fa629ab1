namespace Diffusion.Core.Models;

/// <summary>One level of a <see cref="UNet"/>: how wide it is, and what it is made of on the way down and on the way up.</summary>
public sealed record UNetLevel
{
    /// <summary>Channels of the level.</summary>
    public required int Width { get; init; }

    /// <summary>Residual blocks on the way down; one more on the way up. 2 by default.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>The block on the way down. Residual blocks without attention, and a convolution that halves, by default.</summary>
    public IUNetBlockOptions Down { get; init; } = new UNetBlockOptions();

    /// <summary>The block on the way up; made like the one on the way down by default.</summary>
    public IUNetBlockOptions? Up { get; init; }
}
