using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A network that receives an image in addition to x_t, as in super-resolution and inpainting: <see cref="Condition.Image"/> is joined to
/// the
/// channels of x_t.
/// </summary>
/// <remarks>
/// Source: Saharia et al. 2021, "Image Super-Resolution via Iterative Refinement", section 2. The network takes C + C' channels in and
/// gives C out: a <see cref="UNet"/> with <c>Channels = C + C'</c> and <c>OutChannels = C</c>. A low-resolution image is enlarged to the
/// size of x_t first.
/// </remarks>
/// <param name="network">The network; not disposed.</param>
public sealed class ImageConditioned(ITrainableDenoiser network) : DelegatingTrainableDenoiser(network)
{
    /// <inheritdoc/>
    /// <param name="xt">[B, C, ...] noisy data.</param>
    /// <param name="t">[B] times.</param>
    /// <param name="condition">With an image [B, C', ...] of the size of x_t; the network receives the whole condition.</param>
    /// <exception cref="ArgumentException">There is no image, or it does not fit x_t.</exception>
    public override Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        ArgumentNullException.ThrowIfNull(xt);
        if (condition?.Image is not { } image)
            throw new ArgumentException("This network needs a condition with an image, got none.", nameof(condition));
        if (xt.dim() < 2)
            throw new ArgumentException($"x_t must have shape [B, C, ...], got {Guard.Format(xt.shape)}.", nameof(xt));
        var expected = xt.shape;
        expected[1] = -1;
        Guard.Shape(image, expected, nameof(condition));
        Guard.SameType(xt, image, nameof(xt), nameof(condition));
        using var joined = cat([xt, image], 1);
        return Inner.Predict(joined, t, condition);
    }
}
