namespace Diffusion.Core.Models;

/// <summary>What a block of a <see cref="UNet"/> is made of, as options: implement it to bring a block of your own.</summary>
public interface IUNetBlockOptions
{
    /// <summary>A new block.</summary>
    /// <param name="place">Where in the network it will stand, and how wide it is.</param>
    /// <exception cref="ArgumentException">The options do not fit the place.</exception>
    UNetBlock Build(UNetPlace place);

    /// <summary>The side of an image after the block has halved it on the way down; rounded up by default.</summary>
    /// <param name="side">In pixels.</param>
    long Halve(long side) => (side + 1) / 2;
}
