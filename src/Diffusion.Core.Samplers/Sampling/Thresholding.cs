using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>A method that limits a predicted x_0 to the range of the data.</summary>
public abstract class Thresholding
{
    /// <summary>Limits a predicted x_0 to the range.</summary>
    /// <param name="data">[B, ...] the predicted x_0.</param>
    /// <returns>A new tensor of the same shape. The caller must dispose it.</returns>
    public abstract Tensor Apply(Tensor data);

    private static readonly StaticThresholding _images = new(-1.0, 1.0);

    /// <summary>No thresholding: the prediction is not changed.</summary>
    public static Thresholding None { get; } = new NoThresholding();

    /// <summary>
    /// Returns thresholding that clips every value to the range of the data, or <see cref="None"/> if the range is unbounded.
    /// </summary>
    /// <param name="range">The range of the data.</param>
    public static Thresholding To(DataRange range)
    {
        ArgumentNullException.ThrowIfNull(range);
        return range == DataRange.Images ? _images : range.IsBounded ? new StaticThresholding(range.Min, range.Max) : None;
    }

    /// <summary>Returns thresholding that clips every value to [-range, range].</summary>
    /// <param name="range">The largest absolute value. The default is 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not finite and greater than 0.</exception>
    public static Thresholding Static(double range = 1.0) => new StaticThresholding(-Guard.Positive(range), range);

    /// <summary>
    /// Returns thresholding that clips each sample to [-s, s] and divides it by s, where s is a quantile of the absolute values of the
    /// sample, at least 1 and at most <paramref name="maximum"/>.
    /// </summary>
    /// <param name="quantile">The quantile, in [0, 1], linearly interpolated between two values. The default is 0.995.</param>
    /// <param name="maximum">The largest s, at least 1. The default is <see langword="null"/>: no limit.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument is outside its range.</exception>
    public static Thresholding Dynamic(double quantile = 0.995, double? maximum = null)
    {
        Guard.InRange(quantile, 0.0, 1.0);
        Guard.InRange(maximum ?? 1.0, 1.0, Guard.MaxFactor, nameof(maximum));
        return new DynamicThresholding(quantile, maximum);
    }

    private sealed class NoThresholding : Thresholding
    {
        public override Tensor Apply(Tensor data)
        {
            ArgumentNullException.ThrowIfNull(data);
            return data.clone();
        }
    }

    private sealed class StaticThresholding(double min, double max) : Thresholding
    {
        public override Tensor Apply(Tensor data)
        {
            ArgumentNullException.ThrowIfNull(data);
            return data.Clamp(min, max);
        }
    }

    private sealed class DynamicThresholding(double quantile, double? maximum) : Thresholding
    {
        public override Tensor Apply(Tensor data)
        {
            Guard.Floating(data);
            if (data.dim() == 0 || data.numel() == 0)
                throw new ArgumentException($"data must have a batch of samples, got shape {Guard.Format(data.shape)}.", nameof(data));
            using var scope = NewDisposeScope();
            var values = data.abs().reshape(data.shape[0], -1);
            var count = values.shape[1];

            // The quantile is between the values of rank `below` and `below + 1`. Only the values from rank `below` on are sorted.
            var position = quantile * (count - 1);
            var below = (long)position;
            var largest = values.topk((int)(count - below), dim: 1).values;
            var scale = largest.narrow(1, largest.shape[1] - 1, 1);
            var fraction = position - below;
            if (fraction > 0.0)
                scale = scale.Mul(1.0 - fraction).Add_(largest.narrow(1, largest.shape[1] - 2, 1), alpha: fraction);
            var shape = new long[data.dim()];
            Array.Fill(shape, 1L);
            shape[0] = data.shape[0];
            scale = scale.Clamp(1.0, maximum).reshape(shape);
            return data.div(scale).Clamp_(-1.0, 1.0).MoveToOuterDisposeScope();
        }
    }
}
