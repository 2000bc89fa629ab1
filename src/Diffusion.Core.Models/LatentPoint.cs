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
    /// <inheritdoc/>
    public Tensor Sample(Generator? generator = null) => Mode.alias();

    /// <summary>The point itself, whatever the noise.</summary>
    /// <inheritdoc/>
    public Tensor Sample(Tensor noise)
    {
        Guard.SameShape(Mode, noise);
        return Mode.alias();
    }

    /// <inheritdoc/>
    public void Dispose() => Mode.Dispose();
}
