namespace Diffusion.Core.Models;

/// <summary>How a level changes the resolution at its end. The usual ones are in <see cref="UNetResampling"/>.</summary>
public interface IUNetResampling
{
    /// <summary>A new layer that halves the resolution and keeps the channels; a <c>nn.Module</c>.</summary>
    IUNetLayer Down(UNetPlace place);

    /// <summary>
    /// A new layer that raises the resolution to that of the image on top of <see cref="UNetContext.Skips"/>; a <c>nn.Module</c>.
    /// </summary>
    IUNetLayer Up(UNetPlace place);

    /// <summary>The side of an image after halving; rounded down by default.</summary>
    long Halve(long side) => side / 2;
}
