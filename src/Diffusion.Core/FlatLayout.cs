using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>How the trained parameters of a module lie in buffers of one dimension, for an optimizer to work on all of them at once.</summary>
/// <remarks>
/// Parameters are aligned; the gaps hold zeros, in weights as in gradients, and must stay zero. An optimizer whose moments start at zero
/// and that moves each element by its own moments keeps them so.
/// </remarks>
public sealed class FlatLayout
{
    internal FlatLayout(
        long length, IReadOnlyList<ParameterSlice> slices, IReadOnlyList<ParameterRange> ranges, ScalarType dtype, Device device)
        => (Length, Slices, Ranges, Dtype, Device) = (length, slices, ranges, dtype, device);

    /// <summary>N, the elements of a buffer.</summary>
    public long Length { get; }

    /// <summary>Where each parameter lies, in the order of the buffer.</summary>
    public IReadOnlyList<ParameterSlice> Slices { get; }

    /// <summary>The groups, which together cover the buffer, in its order.</summary>
    public IReadOnlyList<ParameterRange> Ranges { get; }

    /// <summary>The type of weights and gradients.</summary>
    public ScalarType Dtype { get; }

    /// <summary>Where they are.</summary>
    public Device Device { get; }

    /// <summary>A buffer [N] of zeros, outside any dispose scope; the caller's.</summary>
    public Tensor NewBuffer() => zeros([Length], dtype: Dtype, device: Device).DetachFromDisposeScope();

    /// <summary>A number [] in double, outside any dispose scope; the caller's.</summary>
    public Tensor NewNumber(double value)
        => full([], value, dtype: ScalarType.Float64, device: Device).DetachFromDisposeScope();

    /// <summary>The part of a buffer that belongs to one parameter, in its shape; the caller's.</summary>
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

    /// <summary>Decoupled weight decay: <c>weights *= 1 - amount * WeightDecayScale * LearningRateScale</c> in each group.</summary>
    /// <param name="weights">[N], changed in place.</param>
    /// <param name="amount">[] float64: the learning rate times the decay, 0 where no step is taken.</param>
    public void Decay(Tensor weights, Tensor amount)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(amount);
        using var scope = NewDisposeScope();
        foreach (var range in Ranges)
        {
            var scale = range.WeightDecayScale * range.LearningRateScale;
            if (scale != 0.0)
                Part(weights, range).mul_(amount.mul(-scale).add_(1.0).to(Dtype));
        }
    }

    /// <summary>A step: <c>weights += size * LearningRateScale * direction</c> in each group.</summary>
    /// <param name="weights">[N], changed in place.</param>
    /// <param name="direction">[N] where to.</param>
    /// <param name="size">[] float64: how far, 0 where no step is taken.</param>
    public void Move(Tensor weights, Tensor direction, Tensor size)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(direction);
        ArgumentNullException.ThrowIfNull(size);
        using var scope = NewDisposeScope();
        if (Ranges.All(range => range.LearningRateScale == Ranges[0].LearningRateScale))
        {
            weights.addcmul_(direction, Scaled(size, Ranges[0]), 1.0);
            return;
        }

        foreach (var range in Ranges)
            Part(weights, range).addcmul_(Part(direction, range), Scaled(size, range), 1.0);
    }

    /// <summary>
    /// <c>average += weight (value - average)</c>, as <c>lerp_</c>, of which libtorch 1.13 has no vector code: two sweeps here take an
    /// eighth of its time. A weight of 0 leaves the average as it is, bit for bit, where the value is finite.
    /// </summary>
    /// <param name="average">[N], changed in place.</param>
    /// <param name="value">[N].</param>
    /// <param name="weight">[] float64.</param>
    public void Average(Tensor average, Tensor value, Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(average);
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(weight);
        using var scope = NewDisposeScope();
        average.mul_(weight.mul(-1.0).add_(1.0).to(Dtype)).addcmul_(value, weight.to(Dtype), 1.0);
    }

    private Tensor Part(Tensor buffer, ParameterRange range)
        => Ranges.Count == 1 ? buffer : buffer.narrow(0, range.Offset, range.Count);

    private Tensor Scaled(Tensor size, ParameterRange range)
        => (range.LearningRateScale == 1.0 ? size : size.mul(range.LearningRateScale)).to(Dtype);
}
