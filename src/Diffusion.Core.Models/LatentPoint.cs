using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>All probability in one latent: what an encoder without noise says.</summary>
public sealed class LatentPoint : ILatentDistribution
{
    /// <summary>A point.</summary>
    /// <param name="latent">[B, C, ...]; still the caller's.</param>
    public LatentPoint(Tensor latent)
    {
        ArgumentNullException.ThrowIfNull(latent);
        Mode = latent.alias();
    }

    /// <inheritdoc/>
    public Tensor Mode { get; }

    /// <summary>The point itself, whatever the generator.</summary>
    /// <inheritdoc cref="ILatentDistribution.Sample"/>
    public Tensor Sample(Generator? generator = null) => Mode.alias();

    /// <inheritdoc/>
    public void Dispose() => Mode.Dispose();
}
