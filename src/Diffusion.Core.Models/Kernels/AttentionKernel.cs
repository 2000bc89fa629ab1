using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Computes softmax(Q K^T / sqrt(d)) V and its gradients in float32 on the CPU, block by block, so that the probabilities remain in the
/// cache. It is designed for narrow heads, for which the kernel of libtorch takes two to four times as long (measured in
/// docs/performance.md).
/// </summary>
/// <remarks>
/// <para>Source: Dao et al. 2022, "FlashAttention", algorithms 1 and 4; Rabe and Staats 2021. Exponentials have base 2, so the logits
/// contain a factor of log2(e).</para>
/// <para>Each head of a sample is computed by one thread, so results do not depend on the number of threads.</para>
/// </remarks>
internal static class AttentionKernel
{
    /// <summary>The number of queries of a block, a multiple of two vectors on any processor.</summary>
    private const int QueryBlock = 32;

    /// <summary>The number of keys of a block.</summary>
    private const int KeyBlock = 64;

    private const int Tile = QueryBlock * KeyBlock;

    /// <summary>The sizes of queries [B, N, heads * d], keys and values [B, M, heads * d].</summary>
    public readonly record struct Sizes(int Batch, int Queries, int Keys, int Heads, int Width)
    {
        /// <summary>The number of elements from one token to the next.</summary>
        public int Stride => Heads * Width;

        /// <summary>d, padded to whole vectors.</summary>
        public int PaddedWidth => RoundUp(Width, Vector<float>.Count);

        /// <summary>M, padded to whole steps.</summary>
        public int PaddedKeys => RoundUp(Keys, HostProduct.RowStep);

        /// <summary>1 / sqrt(d), the factor of the product of query and key.</summary>
        public float Scale => (float)(1 / Math.Sqrt(Width));
    }

    /// <summary>Computes the attended values.</summary>
    /// <param name="sizes">The sizes, which must be positive.</param>
    /// <param name="query">[B, N, heads * d]. All tensors must be contiguous and smaller than 2 GB.</param>
    /// <param name="key">[B, M, heads * d].</param>
    /// <param name="value">[B, M, heads * d].</param>
    /// <param name="output">[B, N, heads * d], written to.</param>
    /// <param name="logSum">
    /// [B, heads, N] the binary logarithm of the sum of exponentials, written to; <see langword="null"/> if it is not needed.
    /// </param>
    public static void Forward(Sizes sizes, Tensor query, Tensor key, Tensor value, Tensor output, Tensor? logSum)
    {
        var (width, padded, keys) = (sizes.Width, sizes.PaddedWidth, sizes.PaddedKeys);
        Run(sizes, (2 * keys * padded) + (QueryBlock * (width + padded)) + Tile, (queue, scratch) =>
        {
            Span<float> q = HostVector.Floats(query), k = HostVector.Floats(key), v = HostVector.Floats(value), o = HostVector.Floats(output), logs = logSum is null ? [] : HostVector.Floats(logSum);
            Span<float> keyRows = Take(ref scratch, keys * padded), valueRows = Take(ref scratch, keys * padded);
            Span<float> columns = Take(ref scratch, QueryBlock * width), sums = Take(ref scratch, QueryBlock * padded);
            Span<float> tile = Take(ref scratch, Tile);
            Span<float> total = stackalloc float[QueryBlock], highest = stackalloc float[QueryBlock];
            while (queue.TryTake(out var pair))
            {
                var head = Head(sizes, pair, sizes.Keys);
                PackRows(k[head..], sizes, sizes.Keys, keyRows);
                PackRows(v[head..], sizes, sizes.Keys, valueRows);
                head = Head(sizes, pair, sizes.Queries);
                for (var first = 0; first < sizes.Queries; first += QueryBlock)
                {
                    var count = Math.Min(QueryBlock, sizes.Queries - first);
                    var rows = head + (first * sizes.Stride);
                    PackColumns(q[rows..], sizes, count, sizes.Scale * MathF.Log2(MathF.E), columns);
                    sums.Clear();
                    total.Clear();
                    highest.Fill(float.NegativeInfinity);
                    for (var at = 0; at < keys; at += KeyBlock)
                    {
                        var block = Math.Min(KeyBlock, keys - at);
                        HostProduct.Multiply(tile, QueryBlock, keyRows[(at * padded)..], padded, 1, columns, QueryBlock, block, width, QueryBlock, false);
                        if (at + block > sizes.Keys)
                            tile[((sizes.Keys - at) * QueryBlock)..(block * QueryBlock)].Fill(float.NegativeInfinity);
                        Exponentials(tile, block, highest, total, sums, padded);
                        HostProduct.Multiply(sums, padded, tile, 1, QueryBlock, valueRows[(at * padded)..], padded, QueryBlock, block, padded, true);
                    }

                    for (var row = 0; row < count; row++)
                    {
                        var factor = 1 / total[row];
                        var target = o.Slice(rows + (row * sizes.Stride), width);
                        for (var c = 0; c < width; c++)
                            target[c] = sums[(row * padded) + c] * factor;
                        if (logSum is not null)
                            logs[(int)(pair * sizes.Queries) + first + row] = highest[row] + MathF.Log2(total[row]);
                    }
                }
            }
        });
    }

    /// <summary>Computes the gradients with respect to queries, keys and values.</summary>
    /// <param name="sizes">The sizes. They and the first three tensors must be those of <see cref="Forward"/>.</param>
    /// <param name="query">[B, N, heads * d].</param>
    /// <param name="key">[B, M, heads * d].</param>
    /// <param name="value">[B, M, heads * d].</param>
    /// <param name="output">[B, N, heads * d] the output of the forward pass.</param>
    /// <param name="logSum">[B, heads, N] the logarithms written by the forward pass.</param>
    /// <param name="gradient">[B, N, heads * d] the gradient with respect to the output.</param>
    /// <param name="queryGradient">[B, N, heads * d], written to.</param>
    /// <param name="keyGradient">[B, M, heads * d], written to.</param>
    /// <param name="valueGradient">[B, M, heads * d], written to.</param>
    public static void Backward(
        Sizes sizes,
        Tensor query,
        Tensor key,
        Tensor value,
        Tensor output,
        Tensor logSum,
        Tensor gradient,
        Tensor queryGradient,
        Tensor keyGradient,
        Tensor valueGradient)
    {
        var (width, padded, keys) = (sizes.Width, sizes.PaddedWidth, sizes.PaddedKeys);
        Run(sizes, (4 * keys * padded) + (QueryBlock * ((2 * width) + (3 * padded))) + (2 * Tile), (queue, scratch) =>
        {
            Span<float> q = HostVector.Floats(query), k = HostVector.Floats(key), v = HostVector.Floats(value), o = HostVector.Floats(output), logs = HostVector.Floats(logSum), g = HostVector.Floats(gradient);
            Span<float> dq = HostVector.Floats(queryGradient), dk = HostVector.Floats(keyGradient), dv = HostVector.Floats(valueGradient);
            Span<float> keyRows = Take(ref scratch, keys * padded), valueRows = Take(ref scratch, keys * padded);
            Span<float> keySums = Take(ref scratch, keys * padded), valueSums = Take(ref scratch, keys * padded);
            Span<float> columns = Take(ref scratch, QueryBlock * width), gradientColumns = Take(ref scratch, QueryBlock * width);
            Span<float> queryRows = Take(ref scratch, QueryBlock * padded), gradientRows = Take(ref scratch, QueryBlock * padded);
            Span<float> querySums = Take(ref scratch, QueryBlock * padded);
            Span<float> weights = Take(ref scratch, Tile), slopes = Take(ref scratch, Tile);
            Span<float> shift = stackalloc float[QueryBlock], along = stackalloc float[QueryBlock];
            while (queue.TryTake(out var pair))
            {
                var keyHead = Head(sizes, pair, sizes.Keys);
                PackRows(k[keyHead..], sizes, sizes.Keys, keyRows);
                PackRows(v[keyHead..], sizes, sizes.Keys, valueRows);
                keySums.Clear();
                valueSums.Clear();
                var head = Head(sizes, pair, sizes.Queries);
                for (var first = 0; first < sizes.Queries; first += QueryBlock)
                {
                    var count = Math.Min(QueryBlock, sizes.Queries - first);
                    var rows = head + (first * sizes.Stride);
                    PackColumns(q[rows..], sizes, count, sizes.Scale * MathF.Log2(MathF.E), columns);
                    PackColumns(g[rows..], sizes, count, 1, gradientColumns);
                    PackRows(q[rows..], sizes, count, queryRows);
                    PackRows(g[rows..], sizes, count, gradientRows);
                    logs.Slice((int)(pair * sizes.Queries) + first, count).CopyTo(shift);
                    Products(o[rows..], g[rows..], sizes, count, along);
                    querySums.Clear();
                    for (var at = 0; at < keys; at += KeyBlock)
                    {
                        var block = Math.Min(KeyBlock, keys - at);
                        var part = at * padded;
                        HostProduct.Multiply(weights, QueryBlock, keyRows[part..], padded, 1, columns, QueryBlock, block, width, QueryBlock, false);
                        HostProduct.Multiply(slopes, QueryBlock, valueRows[part..], padded, 1, gradientColumns, QueryBlock, block, width, QueryBlock, false);
                        Slopes(weights, slopes, block, shift, along, sizes.Scale);
                        if (at + block > sizes.Keys)
                        {
                            var padding = ((sizes.Keys - at) * QueryBlock)..(block * QueryBlock);
                            weights[padding].Clear();
                            slopes[padding].Clear();
                        }

                        HostProduct.Multiply(valueSums[part..], padded, weights, QueryBlock, 1, gradientRows, padded, block, QueryBlock, padded, true);
                        HostProduct.Multiply(keySums[part..], padded, slopes, QueryBlock, 1, queryRows, padded, block, QueryBlock, padded, true);
                        HostProduct.Multiply(querySums, padded, slopes, 1, QueryBlock, keyRows[part..], padded, QueryBlock, block, padded, true);
                    }

                    UnpackRows(querySums, sizes, count, dq[rows..]);
                }

                UnpackRows(keySums, sizes, sizes.Keys, dk[keyHead..]);
                UnpackRows(valueSums, sizes, sizes.Keys, dv[keyHead..]);
            }
        });
    }

    private static int RoundUp(int size, int step) => (size + step - 1) / step * step;

    private static void Run(Sizes sizes, int scratch, ScratchWorker worker)
        => HostThreads.Run((long)sizes.Batch * sizes.Heads, queue =>
        {
            // The memory of tensors is aligned to cache lines.
            using var memory = empty(scratch, ScalarType.Float32);
            worker(queue, HostVector.Floats(memory));
        });

    private delegate void ScratchWorker(HostThreads.Queue queue, Span<float> scratch);

    private static Span<float> Take(ref Span<float> scratch, int count)
    {
        var part = scratch[..count];
        scratch = scratch[count..];
        return part;
    }

    /// <summary>Returns the index of the first element of a head.</summary>
    private static int Head(Sizes sizes, long pair, int tokens)
        => ((int)(pair / sizes.Heads) * tokens * sizes.Stride) + ((int)(pair % sizes.Heads) * sizes.Width);

    /// <summary>Copies the rows of a head to contiguous memory, padded with zeros.</summary>
    private static void PackRows(Span<float> source, Sizes sizes, int count, Span<float> target)
    {
        var (width, padded) = (sizes.Width, sizes.PaddedWidth);
        target[(count * padded)..].Clear();
        for (var row = 0; row < count; row++)
        {
            source.Slice(row * sizes.Stride, width).CopyTo(target[(row * padded)..]);
            target[((row * padded) + width)..((row + 1) * padded)].Clear();
        }
    }

    private static void UnpackRows(Span<float> source, Sizes sizes, int count, Span<float> target)
    {
        for (var row = 0; row < count; row++)
            source.Slice(row * sizes.PaddedWidth, sizes.Width).CopyTo(target[(row * sizes.Stride)..]);
    }

    /// <summary>Copies the rows of a head as scaled columns, [width, block], padded with zeros.</summary>
    private static void PackColumns(Span<float> source, Sizes sizes, int count, float scale, Span<float> target)
    {
        if (count < QueryBlock)
            target.Clear();
        for (var row = 0; row < count; row++)
        {
            var from = source.Slice(row * sizes.Stride, sizes.Width);
            for (var c = 0; c < from.Length; c++)
                target[(c * QueryBlock) + row] = from[c] * scale;
        }
    }

    /// <summary>Computes the inner products of the rows of two heads.</summary>
    private static void Products(Span<float> left, Span<float> right, Sizes sizes, int count, Span<float> target)
    {
        for (var row = 0; row < count; row++)
        {
            var sum = 0.0f;
            var (at, end) = (row * sizes.Stride, (row * sizes.Stride) + sizes.Width);
            for (; at < end; at++)
                sum += left[at] * right[at];
            target[row] = sum;
        }
    }

    /// <summary>
    /// Replaces a tile of logits [keys, queries] with exponentials relative to the highest logit so far, and rescales the previous sums.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Exponentials(Span<float> tile, int keys, Span<float> highest, Span<float> total, Span<float> sums, int padded)
    {
        ref var values = ref MemoryMarshal.GetReference(tile);
        Span<float> factors = stackalloc float[QueryBlock];
        for (var lane = 0; lane < QueryBlock; lane += Vector<float>.Count)
        {
            var before = new Vector<float>(highest[lane..]);
            var (most, second) = (before, before);
            for (var row = 0; row < keys; row += 2)
            {
                most = Vector.MaxNative(Vector.LoadUnsafe(ref values, (nuint)((row * QueryBlock) + lane)), most);
                second = Vector.MaxNative(Vector.LoadUnsafe(ref values, (nuint)(((row + 1) * QueryBlock) + lane)), second);
            }

            most = Vector.MaxNative(most, second);
            most.CopyTo(highest[lane..]);
            var sum = Vector<float>.Zero;
            for (var row = 0; row < keys; row++)
            {
                var at = (nuint)((row * QueryBlock) + lane);
                var weight = HostVector.Exp2(Vector.LoadUnsafe(ref values, at) - most);
                weight.StoreUnsafe(ref values, at);
                sum += weight;
            }

            var factor = HostVector.Exp2(before - most);
            factor.CopyTo(factors[lane..]);
            Vector.FusedMultiplyAdd(new Vector<float>(total[lane..]), factor, sum).CopyTo(total[lane..]);
        }

        for (var row = 0; row < QueryBlock; row++)
        {
            if (factors[row] == 1)
                continue;
            for (var c = 0; c < padded; c += Vector<float>.Count)
            {
                var part = sums[((row * padded) + c)..];
                (new Vector<float>(part) * factors[row]).CopyTo(part);
            }
        }
    }

    /// <summary>
    /// Replaces a tile of logits with probabilities p, and a tile of products g v with the gradients with respect to the logits,
    /// p (g v - g o) scale.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Slopes(Span<float> weights, Span<float> slopes, int keys, Span<float> shift, Span<float> along, float scale)
    {
        ref var p = ref MemoryMarshal.GetReference(weights);
        ref var s = ref MemoryMarshal.GetReference(slopes);
        for (var lane = 0; lane < QueryBlock; lane += Vector<float>.Count)
        {
            var (low, mean) = (new Vector<float>(shift[lane..]), new Vector<float>(along[lane..]));
            for (var row = 0; row < keys; row++)
            {
                var at = (nuint)((row * QueryBlock) + lane);
                var weight = HostVector.Exp2(Vector.LoadUnsafe(ref p, at) - low);
                weight.StoreUnsafe(ref p, at);
                (weight * (Vector.LoadUnsafe(ref s, at) - mean) * scale).StoreUnsafe(ref s, at);
            }
        }
    }
}
