using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Images whose channels lie side by side in memory. Values and shapes are the same; convolutions are faster with them on some devices.
/// </summary>
/// <remarks>
/// A network over images keeps the layout from layer to layer when its input and the weights of its convolutions have it.
/// </remarks>
public static class ChannelsLast
{
    /// <summary>The tensor with its second dimension innermost in memory.</summary>
    /// <param name="x">[B, C, ...] images, or [out, in, ...] weights of a convolution.</param>
    /// <returns>The same shape and values, copied where the layout is another; the caller's.</returns>
    /// <exception cref="ArgumentException">There are fewer than three dimensions.</exception>
    public static Tensor Of(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() < 3)
            throw new ArgumentException($"x must be [B, C, ...], got shape {Guard.Format(x.shape)}.", nameof(x));
        using var scope = NewDisposeScope();
        var rank = (int)x.dim();
        long[] last = [0, .. Enumerable.Range(2, rank - 2).Select(d => (long)d), 1];
        long[] back = [0, rank - 1, .. Enumerable.Range(1, rank - 2).Select(d => (long)d)];
        return x.permute(last).contiguous().permute(back).MoveToOuterDisposeScope();
    }
}
