using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A network that receives an image in addition to x_t, as in super-resolution and inpainting: <see cref="Condition.Image"/> is
/// concatenated to x_t along the channel dimension.
/// </summary>
/// <remarks>
/// Source: Saharia et al. 2021, "Image Super-Resolution via Iterative Refinement", section 2. The network has C + C' input channels and C
/// output channels, such as a <see cref="UNet"/> with <c>Channels = C + C'</c> and <c>OutChannels = C</c>. Resize a
/// low-resolution image to the size of x_t before it is passed.
/// </remarks>
/// <param name="network">The network. It is not disposed.</param>
public sealed class ImageConditioned(ITrainableDenoiser network) : DelegatingTrainableDenoiser(network)
{
    /// <inheritdoc/>
    /// <param name="xt">[B, C, ...] noisy data.</param>
    /// <param name="t">[B] times.</param>
    /// <param name="condition">
    /// A condition with an image [B, C', ...] of the size of x_t. The whole condition is passed to the network.
    /// </param>
    /// <exception cref="ArgumentException">
    /// x_t has no channel dimension, or the condition has no image, or the image differs from x_t in batch size, size, type or device.
    /// </exception>
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
