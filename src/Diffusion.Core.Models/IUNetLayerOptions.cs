namespace Diffusion.Core.Models;

/// <summary>A layer that follows the residual blocks of a level, as options: implement it to bring one of your own.</summary>
public interface IUNetLayerOptions
{
    /// <summary>A new layer that keeps the number of channels; a <c>nn.Module</c>.</summary>
    /// <param name="place">Where in the network it will stand.</param>
    /// <exception cref="ArgumentException">The options do not fit the place.</exception>
    IUNetLayer Build(UNetPlace place);
}
