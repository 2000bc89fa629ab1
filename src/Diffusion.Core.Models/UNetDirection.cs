namespace Diffusion.Core.Models;

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
