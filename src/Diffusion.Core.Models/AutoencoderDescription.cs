namespace Diffusion.Core.Models;

/// <summary>What files say of an <see cref="Autoencoder"/>.</summary>
internal sealed record AutoencoderDescription
{
    /// <summary>The architecture.</summary>
    public required IAutoencoderBody Body { get; init; }
}
