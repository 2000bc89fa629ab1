using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Computes a group norm with an optional SiLU in float32 on the CPU, for images with channels last, for which libtorch has no vectorized
/// code.
/// </summary>
/// <remarks>
/// Sources: Wu and He 2018, eq. 1; Elfwing et al. 2017. Each block of channels of a sample is computed by one thread, so results do not
/// depend on the number of threads.
/// </remarks>
internal static class GroupNormKernel
{
    /// <summary>The minimum number of channels of a block. With fewer channels, cache lines are read more than once.</summary>
    private const int BlockWidth = 32;

    /// <summary>The number of pixels that are summed in float32 before the sum is accumulated in float64.</summary>
    private const int Run = 64;

    /// <summary>The number of channels that the loops process at a time. The number of channels must be a multiple of it.</summary>
    public static int Strip => 2 * Vector<float>.Count;

    /// <summary>The sizes of images [B, pixels, C] and their groups of channels, and the options of the norm.</summary>
    public readonly record struct Sizes(int Batch, int Pixels, int Channels, int Groups, float Epsilon, bool Activates)
    {
        /// <summary>The number of channels of a group.</summary>
        public int GroupWidth => Channels / Groups;

        /// <summary>The number of elements of a group in a sample.</summary>
        public double GroupSize => (double)Pixels * GroupWidth;

        /// <summary>The number of channels of a block, which consists of whole groups and whole strips.</summary>
        public int Block
        {
            get
            {
                var least = GroupWidth / (int)BigInteger.GreatestCommonDivisor(GroupWidth, Strip) * Strip;
                return Math.Min(Channels, (BlockWidth + least - 1) / least * least);
            }
        }

        /// <summary>The number of blocks of a sample.</summary>
        public int Blocks => (Channels + Block - 1) / Block;
    }

    /// <summary>Computes the normalized, scaled, shifted and, if <see cref="Sizes.Activates"/> is true, activated pixels.</summary>
    /// <param name="sizes">
    /// The sizes, which must be positive. The number of channels must be a multiple of <see cref="Strip"/> and of the number of groups.
    /// </param>
    /// <param name="x">[B, pixels, C]. All tensors must be contiguous and smaller than 2 GB.</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="output">[B, pixels, C], written to.</param>
    /// <param name="moments">[B, groups, 2] the mean and the reciprocal standard deviation of each group, written to.</param>
    public static void Forward(Sizes sizes, Tensor x, Tensor weight, Tensor bias, Tensor output, Tensor moments)
        => HostThreads.Run((long)sizes.Batch * sizes.Blocks, queue =>
        {
            Span<float> input = HostVector.Floats(x), scales = HostVector.Floats(weight), shifts = HostVector.Floats(bias), target = HostVector.Floats(output), stored = HostVector.Floats(moments);
            Span<double> sums = new double[sizes.Block];
            Span<float> mean = new float[sizes.Block], factor = new float[sizes.Block], shift = new float[sizes.Block];
            while (queue.TryTake(out var item))
            {
                var (sample, first, width, at) = Locate(sizes, item);
                var count = sizes.GroupSize;
                var moment = stored[(((sample * sizes.Groups) + (first / sizes.GroupWidth)) * 2)..];

                sums.Clear();
                Sum(sizes, input[at..], width, sums);
                for (var c = 0; c < width; c += sizes.GroupWidth)
                    mean.Slice(c, sizes.GroupWidth).Fill((float)(Total(sums.Slice(c, sizes.GroupWidth)) / count));
                sums.Clear();
                SumOfSquares(sizes, input[at..], width, mean, sums);
                for (var start = 0; start < width; start += sizes.GroupWidth)
                {
                    var deviation = 1 / Math.Sqrt((Total(sums.Slice(start, sizes.GroupWidth)) / count) + sizes.Epsilon);
                    (moment[start / sizes.GroupWidth * 2], moment[(start / sizes.GroupWidth * 2) + 1]) = (mean[start], (float)deviation);
                    for (var c = start; c < start + sizes.GroupWidth; c++)
                    {
                        factor[c] = (float)(scales[first + c] * deviation);
                        shift[c] = (float)(shifts[first + c] - (scales[first + c] * deviation * mean[c]));
                    }
                }

                Apply(sizes, input[at..], width, factor, shift, target[at..]);
            }
        });

    /// <summary>Computes the gradients with respect to pixels, scale and shift.</summary>
    /// <param name="sizes">The sizes. They and the first four tensors must be those of <see cref="Forward"/>.</param>
    /// <param name="x">[B, pixels, C].</param>
    /// <param name="weight">[C].</param>
    /// <param name="bias">[C].</param>
    /// <param name="moments">[B, groups, 2] the moments written by the forward pass.</param>
    /// <param name="gradient">[B, pixels, C] the gradient with respect to the output.</param>
    /// <param name="inputGradient">[B, pixels, C], written to.</param>
    /// <param name="weightGradients">[B, C] the contribution of each sample, written to.</param>
    /// <param name="biasGradients">[B, C] the contribution of each sample, written to.</param>
    public static void Backward(
        Sizes sizes,
        Tensor x,
        Tensor weight,
        Tensor bias,
        Tensor moments,
        Tensor gradient,
        Tensor inputGradient,
        Tensor weightGradients,
        Tensor biasGradients)
        => HostThreads.Run((long)sizes.Batch * sizes.Blocks, queue =>
        {
            Span<float> input = HostVector.Floats(x), scales = HostVector.Floats(weight), shifts = HostVector.Floats(bias), stored = HostVector.Floats(moments), upstream = HostVector.Floats(gradient);
            Span<float> target = HostVector.Floats(inputGradient), byWeight = HostVector.Floats(weightGradients), byBias = HostVector.Floats(biasGradients);
            Span<double> sums = new double[sizes.Block], products = new double[sizes.Block];
            Span<float> mean = new float[sizes.Block], factor = new float[sizes.Block];
            Span<float> shift = new float[sizes.Block], slope = new float[sizes.Block];
            while (queue.TryTake(out var item))
            {
                var (sample, first, width, at) = Locate(sizes, item);
                var count = sizes.GroupSize;
                var moment = stored[(((sample * sizes.Groups) + (first / sizes.GroupWidth)) * 2)..];
                for (var c = 0; c < width; c++)
                {
                    mean[c] = moment[c / sizes.GroupWidth * 2];
                    factor[c] = scales[first + c] * moment[(c / sizes.GroupWidth * 2) + 1];
                    shift[c] = shifts[first + c] - (factor[c] * mean[c]);
                }

                sums.Clear();
                products.Clear();
                Slopes(sizes, input[at..], upstream[at..], width, factor, shift, mean, sums, products, target[at..]);
                for (var start = 0; start < width; start += sizes.GroupWidth)
                {
                    var deviation = (double)moment[(start / sizes.GroupWidth * 2) + 1];
                    var (meanSlope, meanProduct) = (0.0, 0.0);
                    for (var c = start; c < start + sizes.GroupWidth; c++)
                    {
                        meanSlope += scales[first + c] * sums[c] / count;
                        meanProduct += scales[first + c] * products[c] * deviation / count;
                        byWeight[(sample * sizes.Channels) + first + c] = (float)(products[c] * deviation);
                        byBias[(sample * sizes.Channels) + first + c] = (float)sums[c];
                    }

                    for (var c = start; c < start + sizes.GroupWidth; c++)
                    {
                        slope[c] = (float)(-deviation * deviation * meanProduct);
                        shift[c] = (float)(-deviation * meanSlope);
                    }
                }

                Combine(sizes, input[at..], width, factor, slope, mean, shift, target[at..]);
            }
        });

    /// <summary>Returns the sample of a block, its first channel, its number of channels, and the index of its first element.</summary>
    private static (int Sample, int First, int Width, int At) Locate(Sizes sizes, long item)
    {
        var (sample, first) = ((int)(item / sizes.Blocks), (int)(item % sizes.Blocks) * sizes.Block);
        return (sample, first, Math.Min(sizes.Block, sizes.Channels - first), (sample * sizes.Pixels * sizes.Channels) + first);
    }

    private static double Total(Span<double> values)
    {
        var total = 0.0;
        foreach (var value in values)
            total += value;
        return total;
    }

    /// <summary>
    /// Returns the first element of a span. Throws if the pixels of a block are not within the span, because the loops have no bounds
    /// checks.
    /// </summary>
    private static ref float First(Sizes sizes, Span<float> pixels, int width)
    {
        _ = pixels[((sizes.Pixels - 1) * sizes.Channels) + width - 1];
        return ref MemoryMarshal.GetReference(pixels);
    }

    private static void Add(Span<double> sums, Vector<float> values)
    {
        Vector.Widen(values, out var low, out var high);
        (new Vector<double>(sums) + low).CopyTo(sums);
        sums = sums[Vector<double>.Count..];
        (new Vector<double>(sums) + high).CopyTo(sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sum(Sizes sizes, Span<float> pixels, int width, Span<double> sums)
    {
        ref var x = ref First(sizes, pixels, width);
        var (vector, stride) = (Vector<float>.Count, (nuint)sizes.Channels);
        for (var c = 0; c < width; c += 2 * vector)
        {
            for (var start = 0; start < sizes.Pixels; start += Run)
            {
                var (left, right) = (Vector<float>.Zero, Vector<float>.Zero);
                var at = ((nuint)start * stride) + (nuint)c;
                for (var end = at + ((nuint)Math.Min(Run, sizes.Pixels - start) * stride); at < end; at += stride)
                {
                    left += Vector.LoadUnsafe(ref x, at);
                    right += Vector.LoadUnsafe(ref x, at + (nuint)vector);
                }

                Add(sums[c..], left);
                Add(sums[(c + vector)..], right);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SumOfSquares(Sizes sizes, Span<float> pixels, int width, Span<float> mean, Span<double> sums)
    {
        ref var x = ref First(sizes, pixels, width);
        var (vector, stride) = (Vector<float>.Count, (nuint)sizes.Channels);
        for (var c = 0; c < width; c += 2 * vector)
        {
            var (leftMean, rightMean) = (new Vector<float>(mean[c..]), new Vector<float>(mean[(c + vector)..]));
            for (var start = 0; start < sizes.Pixels; start += Run)
            {
                var (left, right) = (Vector<float>.Zero, Vector<float>.Zero);
                var at = ((nuint)start * stride) + (nuint)c;
                for (var end = at + ((nuint)Math.Min(Run, sizes.Pixels - start) * stride); at < end; at += stride)
                {
                    var difference = Vector.LoadUnsafe(ref x, at) - leftMean;
                    left = Vector.FusedMultiplyAdd(difference, difference, left);
                    difference = Vector.LoadUnsafe(ref x, at + (nuint)vector) - rightMean;
                    right = Vector.FusedMultiplyAdd(difference, difference, right);
                }

                Add(sums[c..], left);
                Add(sums[(c + vector)..], right);
            }
        }
    }

    /// <summary>Computes factor x + shift, then SiLU if enabled.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Apply(Sizes sizes, Span<float> pixels, int width, Span<float> factor, Span<float> shift, Span<float> output)
    {
        ref var x = ref First(sizes, pixels, width);
        ref var y = ref First(sizes, output, width);
        var (vector, stride, activates) = (Vector<float>.Count, (nuint)sizes.Channels, sizes.Activates);
        for (var c = 0; c < width; c += 2 * vector)
        {
            var (leftFactor, rightFactor) = (new Vector<float>(factor[c..]), new Vector<float>(factor[(c + vector)..]));
            var (leftShift, rightShift) = (new Vector<float>(shift[c..]), new Vector<float>(shift[(c + vector)..]));
            var at = (nuint)c;
            for (var end = at + ((nuint)sizes.Pixels * stride); at < end; at += stride)
            {
                var left = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref x, at), leftFactor, leftShift);
                var right = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref x, at + (nuint)vector), rightFactor, rightShift);
                if (activates)
                    (left, right) = (left * HostVector.Sigmoid(left), right * HostVector.Sigmoid(right));
                left.StoreUnsafe(ref y, at);
                right.StoreUnsafe(ref y, at + (nuint)vector);
            }
        }
    }

    /// <summary>
    /// Computes the gradient g with respect to the input of the activation, and the sums of g and of g (x - mean) in each channel.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Slopes(
        Sizes sizes,
        Span<float> pixels,
        Span<float> upstream,
        int width,
        Span<float> factor,
        Span<float> shift,
        Span<float> mean,
        Span<double> sums,
        Span<double> products,
        Span<float> target)
    {
        ref var x = ref First(sizes, pixels, width);
        ref var dy = ref First(sizes, upstream, width);
        ref var dz = ref First(sizes, target, width);
        var (vector, stride, activates) = (Vector<float>.Count, (nuint)sizes.Channels, sizes.Activates);
        for (var c = 0; c < width; c += vector)
        {
            var (scale, offset, middle) = (new Vector<float>(factor[c..]), new Vector<float>(shift[c..]), new Vector<float>(mean[c..]));
            for (var start = 0; start < sizes.Pixels; start += Run)
            {
                var (sum, product) = (Vector<float>.Zero, Vector<float>.Zero);
                var at = ((nuint)start * stride) + (nuint)c;
                for (var end = at + ((nuint)Math.Min(Run, sizes.Pixels - start) * stride); at < end; at += stride)
                {
                    var value = Vector.LoadUnsafe(ref x, at);
                    var slope = Vector.LoadUnsafe(ref dy, at);
                    if (activates)
                    {
                        var normed = Vector.FusedMultiplyAdd(value, scale, offset);
                        var sigmoid = HostVector.Sigmoid(normed);
                        slope *= Vector.FusedMultiplyAdd(normed * sigmoid, Vector<float>.One - sigmoid, sigmoid);
                    }

                    slope.StoreUnsafe(ref dz, at);
                    sum += slope;
                    product = Vector.FusedMultiplyAdd(slope, value - middle, product);
                }

                Add(sums[c..], sum);
                Add(products[c..], product);
            }
        }
    }

    /// <summary>Replaces g with factor g + slope (x - mean) + shift.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Combine(
        Sizes sizes, Span<float> pixels, int width, Span<float> factor, Span<float> slope, Span<float> mean, Span<float> shift, Span<float> target)
    {
        ref var x = ref First(sizes, pixels, width);
        ref var g = ref First(sizes, target, width);
        var (vector, stride) = (Vector<float>.Count, (nuint)sizes.Channels);
        for (var c = 0; c < width; c += vector)
        {
            var (scale, along) = (new Vector<float>(factor[c..]), new Vector<float>(slope[c..]));
            var (middle, offset) = (new Vector<float>(mean[c..]), new Vector<float>(shift[c..]));
            var at = (nuint)c;
            for (var end = at + ((nuint)sizes.Pixels * stride); at < end; at += stride)
            {
                var sum = Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref x, at) - middle, along, offset);
                Vector.FusedMultiplyAdd(Vector.LoadUnsafe(ref g, at), scale, sum).StoreUnsafe(ref g, at);
            }
        }
    }
}
