using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Layers whose initial values this library sets itself, convolutions of one to three dimensions, and steps many layers take.
/// </summary>
internal static class Layers
{
    /// <summary>
    /// Narrower heads are padded with zeros to this width on the CPU: libtorch's fused attention takes about half the time for 16 channels
    /// that it takes for 8 (measured in docs/performance.md).
    /// </summary>
    private const long PaddedHeadWidth = 16;

    /// <summary>A convolution of images.</summary>
    public static Conv2d Conv2d(long inputs, long outputs, long kernel, long stride = 1, long padding = 0)
        => (Conv2d)Convolution(2, inputs, outputs, kernel, stride, padding);

    /// <summary>A 3x3 convolution that keeps the size.</summary>
    public static Conv2d Convolution3x3(long inputs, long outputs) => Conv2d(inputs, outputs, 3, padding: 1);

    /// <summary>
    /// A convolution over [B, C, ...] with as many sizes as it has dimensions. TorchSharp leaves a second handle of the bias to the
    /// finaliser, which would keep its memory after the layer is disposed: the scope frees it, and does not hold the parameters.
    /// </summary>
    public static Convolution Convolution(
        int dimensions, long inputs, long outputs, long kernel, long stride, long padding, bool bias = true)
    {
        using var scope = NewDisposeScope();
        return dimensions switch
        {
            1 => nn.Conv1d(inputs, outputs, kernel, stride: stride, padding: padding, bias: bias),
            2 => nn.Conv2d(inputs, outputs, kernel, stride: stride, padding: padding, bias: bias),
            _ => nn.Conv3d(inputs, outputs, kernel, stride: stride, padding: padding, bias: bias),
        };
    }

    /// <summary>A convolution that keeps the size, with an odd kernel.</summary>
    public static Convolution Convolution(int dimensions, long inputs, long outputs, long kernel, bool bias = true)
        => Convolution(dimensions, inputs, outputs, kernel, 1, (kernel - 1) / 2, bias);

    /// <summary>Sets the weight and bias of a convolution to zero.</summary>
    public static void SetZero(Convolution convolution)
    {
        using var guard = no_grad();
        convolution.weight.Fill_(0);
        convolution.bias!.Fill_(0);
    }

    /// <summary>A tensor with sizes of one behind its own, to broadcast over an image; a view.</summary>
    public static Tensor Trailing(Tensor x, int ones)
    {
        var shape = new long[x.dim() + ones];
        Array.Fill(shape, 1);
        x.shape.CopyTo(shape, 0);
        return x.view(shape);
    }

    /// <summary>
    /// [B, C, ...] as tokens [B, N, C], copied once where channels do not lie last, and not by each of the layers that read them.
    /// </summary>
    public static Tensor Pixels(Tensor image)
    {
        using var scope = NewDisposeScope();
        return image.flatten(2).transpose(1, 2).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// [B, N, C] as an image of the shape of another; a view with channels last. Add it to the other, not the other to it: a sum is laid
    /// out as its first term.
    /// </summary>
    public static Tensor Image(Tensor pixels, Tensor like)
    {
        using var turned = pixels.transpose(1, 2);
        return turned.reshape(like.shape);
    }

    /// <summary>The tensor that takes the place of another, which is disposed where it is not the same.</summary>
    public static Tensor Replace(Tensor old, Tensor next)
    {
        if (!ReferenceEquals(old, next))
            old.Dispose();
        return next;
    }

    /// <summary>softmax(Q K^T / sqrt(d)) V in each head.</summary>
    /// <param name="query">[B, N, heads * d].</param>
    /// <param name="key">[B, M, heads * d].</param>
    /// <param name="value">[B, M, heads * d].</param>
    /// <param name="heads">The number of heads.</param>
    /// <param name="mask">Broadcast over [B, heads, N, M]: bool, true where a token may attend, or added to the logits.</param>
    /// <param name="causal">True to attend to oneself and all before only.</param>
    /// <returns>[B, N, heads * d]; the caller's.</returns>
    public static Tensor Attend(Tensor query, Tensor key, Tensor value, long heads, Tensor? mask = null, bool causal = false)
    {
        if (mask is null && !causal && HostAttention.Takes(query, key, value, heads))
            return HostAttention.Run(query, key, value, heads);
        using var scope = NewDisposeScope();
        var width = query.shape[2] / heads;
        var padding = query.device_type == DeviceType.CPU && query.dtype == ScalarType.Float32 ? Math.Max(0, PaddedHeadWidth - width) : 0;
        Tensor Heads(Tensor x)
        {
            var split = x.view(x.shape[0], x.shape[1], heads, width);
            return (padding == 0 ? split : nn.functional.pad(split, [0, padding])).transpose(1, 2);
        }

        if (padding > 0)
        {
            // The logits are divided by the root of the padded width.
            query = query.Mul(Math.Sqrt((double)PaddedHeadWidth / width));
        }

        var attended = nn.functional.scaled_dot_product_attention(Heads(query), Heads(key), Heads(value), mask, is_casual: causal);
        if (padding > 0)
            attended = attended.narrow(3, 0, width);
        return attended.transpose(1, 2).reshape(query.shape).MoveToOuterDisposeScope();
    }

    /// <summary>Requires [B, channels, ...] with as many sizes as there are dimensions.</summary>
    public static void CheckImage(Tensor x, int dimensions, long channels, string name)
    {
        Span<long> expected = stackalloc long[dimensions + 2];
        expected.Fill(-1);
        expected[1] = channels;
        Guard.Shape(x, expected, name);
    }
}
