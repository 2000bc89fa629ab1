using System.Numerics;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The layout of the trained parameters of a module in one-dimensional buffers, which allow an optimizer to update all parameters at
/// once.
/// </summary>
/// <remarks>
/// Parameters are aligned. The gaps between them contain zeros, both in weights and in gradients, and must remain zero. This holds for an
/// optimizer whose moments start at zero and that updates each element from its own moments only.
/// </remarks>
public sealed class FlatLayout
{
    internal FlatLayout(
        long length, IReadOnlyList<ParameterSlice> slices, IReadOnlyList<ParameterRange> ranges, ScalarType dtype, Device device)
        => (Length, Slices, Ranges, Dtype, Device) = (length, slices, ranges, dtype, device);

    /// <summary>N, the number of elements of a buffer.</summary>
    public long Length { get; }

    /// <summary>The position of each parameter, in the order of the buffer.</summary>
    public IReadOnlyList<ParameterSlice> Slices { get; }

    /// <summary>The ranges of the parameter groups, in the order of the buffer. Together they cover the buffer.</summary>
    public IReadOnlyList<ParameterRange> Ranges { get; }

    /// <summary>The type of weights and gradients.</summary>
    public ScalarType Dtype { get; }

    /// <summary>The device of weights and gradients.</summary>
    public Device Device { get; }

    /// <summary>Creates a buffer [N] of zeros, outside any dispose scope. The caller must dispose it.</summary>
    public Tensor NewBuffer() => zeros([Length], dtype: Dtype, device: Device).DetachFromDisposeScope();

    /// <summary>Creates a scalar tensor [] float64, outside any dispose scope. The caller must dispose it.</summary>
    public Tensor NewNumber(double value)
        => Scalars.Full([], value, ScalarType.Float64, Device).DetachFromDisposeScope();

    /// <summary>Returns the part of a buffer that belongs to one parameter, as a view in its shape. The caller must dispose it.</summary>
    public static Tensor View(Tensor buffer, ParameterSlice slice)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        ArgumentNullException.ThrowIfNull(slice);
        using var part = buffer.narrow(0, slice.Offset, slice.Count);
        if (!slice.ChannelsLast)
            return part.view([.. slice.Shape]);
        using var stored = part.view(slice.Shape[0], slice.Shape[2], slice.Shape[3], slice.Shape[1]);
        return stored.permute(0, 3, 1, 2);
    }

    /// <summary>Updates a running average: <c>average = (1 - share) average + share values</c>.</summary>
    /// <remarks>
    /// A share of 0 leaves the average unchanged, bit for bit.
    /// </remarks>
    /// <param name="average">The average, of any shape. It is changed in place.</param>
    /// <param name="values">The new values, of the same shape. They must be finite.</param>
    /// <param name="share">[] float64 the share of the new values.</param>
    public static void Blend(Tensor average, Tensor values, Tensor share)
    {
        ArgumentNullException.ThrowIfNull(average);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(share);
        if (HostSweep.Takes(average) && HostSweep.Takes(values) && HostSweep.IsFlat(average) && HostSweep.IsFlat(values))
        {
            BlendOnHost(average, values, share.item<double>());
            return;
        }

        using var scope = NewDisposeScope();
        average.mul_(share.neg().Add_(1.0)).Addcmul_(values, share.to(average.dtype), 1.0);
    }

    /// <summary>
    /// Applies decoupled weight decay: <c>weights *= 1 - amount * WeightDecayScale * LearningRateScale</c> in each group.
    /// </summary>
    /// <param name="weights">[N] the weights. They are changed in place.</param>
    /// <param name="amount">[] float64 the learning rate times the decay; 0 if the step is skipped.</param>
    public void Decay(Tensor weights, Tensor amount)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(amount);
        using var scope = NewDisposeScope();
        foreach (var (scale, offset, count) in Runs(range => range.WeightDecayScale * range.LearningRateScale))
            Part(weights, offset, count).mul_(amount.Mul(-scale).Add_(1.0));
    }

    /// <summary>
    /// Adds the gradient of half the squared norm of the weights: <c>gradients += amount * WeightDecayScale * weights</c> in each group.
    /// </summary>
    /// <param name="gradients">[N] the gradients. They are changed in place.</param>
    /// <param name="weights">[N] the weights.</param>
    /// <param name="amount">[] float64 the decay; 0 if the step is skipped.</param>
    public void AddDecay(Tensor gradients, Tensor weights, Tensor amount)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(amount);
        using var scope = NewDisposeScope();
        foreach (var (scale, offset, count) in Runs(range => range.WeightDecayScale))
            Part(gradients, offset, count).Addcmul_(Part(weights, offset, count), amount.to(Dtype), scale);
    }

    /// <summary>Updates the weights: <c>weights += size * LearningRateScale * direction</c> in each group.</summary>
    /// <param name="weights">[N] the weights. They are changed in place.</param>
    /// <param name="direction">[N] the direction. It must be finite.</param>
    /// <param name="size">[] float64 the step size; 0 if the step is skipped.</param>
    public void Move(Tensor weights, Tensor direction, Tensor size)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(direction);
        ArgumentNullException.ThrowIfNull(size);
        using var scope = NewDisposeScope();
        foreach (var (scale, offset, count) in Runs(range => range.LearningRateScale))
            Part(weights, offset, count).Addcmul_(Part(direction, offset, count), size.to(Dtype), scale);
    }

    /// <summary>Updates the weights: <c>weights += size * LearningRateScale * numerator / denominator</c> in each group.</summary>
    /// <param name="weights">[N] the weights. They are changed in place.</param>
    /// <param name="numerator">[N] the numerator of the direction.</param>
    /// <param name="denominator">[N] the denominator of the direction, greater than 0; infinite if the step is skipped.</param>
    /// <param name="size">The step size.</param>
    public void Move(Tensor weights, Tensor numerator, Tensor denominator, double size)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(numerator);
        ArgumentNullException.ThrowIfNull(denominator);
        using var scope = NewDisposeScope();
        foreach (var (scale, offset, count) in Runs(range => range.LearningRateScale))
            Part(weights, offset, count).Addcdiv_(Part(numerator, offset, count), Part(denominator, offset, count), size * scale);
    }

    /// <summary>Returns the range of the group that a parameter belongs to.</summary>
    internal ParameterRange RangeOf(ParameterSlice slice) => Ranges.First(range => slice.Offset < range.Offset + range.Count);

    private static void BlendOnHost(Tensor average, Tensor values, double share)
    {
        if (share == 0.0)
            return;
        var (kept, added) = (new Vector<float>((float)(1.0 - share)), new Vector<float>((float)share));
        HostSweep.Run(0, average.shape[0], Pass, average, values);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Pass(Span<Vector<float>> target, Span<Vector<float>> source, Span<Vector<float>> third, Span<Vector<float>> fourth)
        {
            source = source[..target.Length];
            for (var i = 0; i < target.Length; i++)
                target[i] = (target[i] * kept) + (source[i] * added);
        }
    }

    private static Tensor Part(Tensor buffer, long offset, long count)
        => buffer.shape[0] == count ? buffer : buffer.narrow(0, offset, count);

    /// <summary>
    /// Returns the ranges of the groups. Adjacent groups with the same scale are merged, and groups with scale 0 are omitted.
    /// </summary>
    private IEnumerable<(double Scale, long Offset, long Count)> Runs(Func<ParameterRange, double> scaleOf)
    {
        for (var first = 0; first < Ranges.Count;)
        {
            var (scale, next) = (scaleOf(Ranges[first]), first + 1);
            while (next < Ranges.Count && scaleOf(Ranges[next]) == scale)
                next++;
            var (begin, last) = (Ranges[first].Offset, Ranges[next - 1]);
            if (scale != 0.0)
                yield return (scale, begin, last.Offset + last.Count - begin);
            first = next;
        }
    }
}

/// <summary>The position of one parameter in the flat buffers of a trainer.</summary>
/// <param name="Name">The name of the parameter in the state of the module.</param>
/// <param name="Offset">The index of its first element.</param>
/// <param name="Count">The number of its elements.</param>
/// <param name="Shape">The shape of the parameter.</param>
public sealed record ParameterSlice(string Name, long Offset, long Count, IReadOnlyList<long> Shape)
{
    /// <summary>
    /// Whether the weights of a two-dimensional convolution are in channels-last order. The default is <see langword="false"/>.
    /// </summary>
    public bool ChannelsLast { get; init; }
}
