using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Helpers for layers: convolutions of one to three dimensions, layouts of images and tokens, and attention.</summary>
internal static class Layers
{
    /// <summary>
    /// The width to which narrower heads are padded with zeros on the CPU. The fused attention of libtorch takes about half the time with
    /// 16 channels that it takes with 8 channels (measured in docs/performance.md).
    /// </summary>
    private const long PaddedHeadWidth = 16;

    /// <summary>Creates a convolution of images.</summary>
    public static Conv2d Conv2d(long inputs, long outputs, long kernel, long stride = 1, long padding = 0)
        => (Conv2d)Convolution(2, inputs, outputs, kernel, stride, padding);

    /// <summary>Creates a 3x3 convolution that preserves the size.</summary>
    public static Conv2d Convolution3x3(long inputs, long outputs) => Conv2d(inputs, outputs, 3, padding: 1);

    /// <summary>
    /// Creates a convolution over [B, C, ...] with the given number of spatial dimensions. TorchSharp creates a second handle of the bias,
    /// which would keep its memory allocated after the layer is disposed, until the finalizer runs. The dispose scope frees this handle.
    /// Parameters do not belong to the scope.
    /// </summary>
    public static Convolution Convolution(
        int dimensions, long inputs, long outputs, long kernel, long stride, long padding, bool bias = true)
    {
        ParameterBudget.Spend([inputs, outputs, .. Enumerable.Repeat(kernel, dimensions)]);
        if (bias)
            ParameterBudget.Spend(outputs);
        using var scope = NewDisposeScope();
        return dimensions switch
        {
            1 => nn.Conv1d(inputs, outputs, kernel, stride: stride, padding: padding, bias: bias),
            2 => nn.Conv2d(inputs, outputs, kernel, stride: stride, padding: padding, bias: bias),
            _ => nn.Conv3d(inputs, outputs, kernel, stride: stride, padding: padding, bias: bias),
        };
    }

    /// <summary>Creates a convolution that preserves the size. The size of the kernel must be odd.</summary>
    public static Convolution Convolution(int dimensions, long inputs, long outputs, long kernel, bool bias = true)
        => Convolution(dimensions, inputs, outputs, kernel, 1, (kernel - 1) / 2, bias);

    /// <summary>Returns a size that is a product.</summary>
    /// <exception cref="ArgumentException">The product is larger than the largest size of a layer.</exception>
    public static int Size(params ReadOnlySpan<long> factors)
    {
        var size = 1L;
        foreach (var factor in factors)
            size = Math.Abs(size) <= int.MaxValue && Math.Abs(factor) <= int.MaxValue ? size * factor : long.MaxValue;
        return Math.Abs(size) <= int.MaxValue
            ? (int)size
            : throw new ArgumentException(
                Invariant($"A layer can have a size of at most {int.MaxValue}, got {string.Join(" * ", factors.ToArray())}."),
                nameof(factors));
    }

    /// <summary>Creates a linear layer.</summary>
    public static Linear Linear(long inputs, long outputs, bool hasBias = true)
    {
        ParameterBudget.Spend(outputs, inputs);
        if (hasBias)
            ParameterBudget.Spend(outputs);
        return nn.Linear(inputs, outputs, hasBias);
    }

    /// <summary>Creates a table of embeddings.</summary>
    public static Embedding Embedding(long count, long width)
    {
        ParameterBudget.Spend(count, width);
        return nn.Embedding(count, width);
    }

    /// <summary>Sets the weight and bias of a convolution to zero.</summary>
    public static void SetZero(Convolution convolution)
    {
        using var guard = no_grad();
        convolution.weight.Fill_(0);
        convolution.bias!.Fill_(0);
    }

    /// <summary>Returns a view of a tensor with additional trailing dimensions of size one, for broadcasting over an image.</summary>
    public static Tensor Trailing(Tensor x, int ones)
    {
        var shape = new long[x.dim() + ones];
        Array.Fill(shape, 1);
        x.shape.CopyTo(shape, 0);
        return x.view(shape);
    }

    /// <summary>
    /// Converts an image [B, C, ...] to contiguous tokens [B, N, C]. If channels are not last in memory, the image is copied here once
    /// instead of in each layer that reads it.
    /// </summary>
    public static Tensor Pixels(Tensor image)
    {
        using var scope = NewDisposeScope();
        return image.flatten(2).transpose(1, 2).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Converts tokens [B, N, C] to an image with the shape of another image, as a view with channels last. In a sum of both, the other
    /// image must be the first term, because a sum has the memory layout of its first term.
    /// </summary>
    public static Tensor Image(Tensor pixels, Tensor like)
    {
        using var turned = pixels.transpose(1, 2);
        return turned.reshape(like.shape);
    }

    /// <summary>Returns the next tensor, and disposes the old tensor if it is another object.</summary>
    public static Tensor Replace(Tensor old, Tensor next)
    {
        if (!ReferenceEquals(old, next))
            old.Dispose();
        return next;
    }

    /// <summary>Computes softmax(Q K^T / sqrt(d)) V in each head.</summary>
    /// <param name="query">[B, N, heads * d].</param>
    /// <param name="key">[B, M, heads * d].</param>
    /// <param name="value">[B, M, heads * d].</param>
    /// <param name="heads">The number of heads.</param>
    /// <param name="mask">
    /// A mask that broadcasts to [B, heads, N, M]: bool, true where a token may attend, or floating point, added to the logits. The default
    /// is <see langword="null"/>: no mask.
    /// </param>
    /// <param name="causal">Whether a token attends only to itself and to previous tokens. The default is <see langword="false"/>.</param>
    /// <returns>[B, N, heads * d]. The caller must dispose the tensor.</returns>
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
            // libtorch divides the logits by the square root of the padded width.
            query = query.Mul(Math.Sqrt((double)PaddedHeadWidth / width));
        }

        var attended = nn.functional.scaled_dot_product_attention(Heads(query), Heads(key), Heads(value), mask, is_casual: causal);
        if (padding > 0)
            attended = attended.narrow(3, 0, width);
        return attended.transpose(1, 2).reshape(query.shape).MoveToOuterDisposeScope();
    }

    /// <summary>Throws unless the shape is [B, channels, ...] with the given number of spatial dimensions.</summary>
    public static void CheckImage(Tensor x, int dimensions, long channels, string name)
    {
        Span<long> expected = stackalloc long[dimensions + 2];
        expected.Fill(-1);
        expected[1] = channels;
        Guard.Shape(x, expected, name);
    }
}
