using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Noise from one Brownian path over sigma / alpha for each sample. The draw for an interval is the increment of the path over the
/// interval, divided by the square root of its length. The increments have the same sum for every division of an interval into steps, so
/// that a stochastic solver converges to one image as the number of steps increases.
/// </summary>
/// <remarks>
/// This is a virtual Brownian tree: only the last requested values of the path are stored. Between powers of two the path is computed by
/// bisection, with every midpoint drawn from a generator seeded by (seed, index of the sample, octave, node). Ratios are clamped to the
/// range from 2^-32 to 2^32 and rounded to 2^-16 of their octave. A draw without an interval, such as that of the initial sample, is a draw
/// of <see cref="PerSampleNoise"/>. The class is not thread-safe.
/// Source: Li et al. 2020, "Scalable Gradients for Stochastic Differential Equations", section 4.
/// </remarks>
public sealed class BrownianTreeNoise : INoiseSource
{
    private const int Depth = 16;
    private const int LastOctave = 32;
    private const int Remembered = 4;
    private readonly PerSampleNoise _independent;
    private readonly long _seed;
    private readonly long _count;
    private readonly long _firstSample;
    private readonly List<(double Ratio, long[] Size, Tensor Value)> _values = [];

    /// <summary>
    /// Initializes a new instance of the <see cref="BrownianTreeNoise"/> class for samples [firstSample, firstSample + count).
    /// </summary>
    /// <param name="seed">The root seed.</param>
    /// <param name="count">B, the number of samples drawn together.</param>
    /// <param name="firstSample">The index of the first sample. The default is 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The count is less than 1, or an index is negative.</exception>
    public BrownianTreeNoise(long seed, long count, long firstSample = 0)
    {
        _independent = new PerSampleNoise(seed, count, firstSample);
        (_seed, _count, _firstSample) = (seed, count, firstSample);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// <paramref name="like"/> is not floating point, or does not have one row for each sample.
    /// </exception>
    public Tensor Draw(Tensor like) => _independent.Draw(like);

    /// <inheritdoc/>
    /// <remarks>The draw is zero if the interval is empty.</remarks>
    /// <exception cref="ArgumentException">
    /// <paramref name="like"/> is not floating point or does not have one row for each sample, or a ratio is negative or not a number.
    /// </exception>
    public Tensor Draw(Tensor like, double from, double to)
    {
        Guard.Floating(like);
        Guard.InRange(from, 0.0, double.PositiveInfinity);
        Guard.InRange(to, 0.0, double.PositiveInfinity);
        if (like.dim() == 0 || like.shape[0] != _count)
            throw new ArgumentException(
                Invariant($"The noise source draws {_count} samples, got a tensor of shape {Guard.Format(like.shape)}."), nameof(like));
        (from, to) = (Round(from), Round(to));
        if (from == to)
            return zeros_like(like);
        var size = like.shape[1..];
        var (start, end) = (Value(from, size), Value(to, size));
        using var scope = NewDisposeScope();
        return end.sub(start).Div_(Math.Sqrt(Math.Abs(to - from))).to(like.dtype, like.device).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _independent.Dispose();
        foreach (var (_, _, value) in _values)
            value.Dispose();
        _values.Clear();
    }

    private static double Round(double ratio)
    {
        ratio = Math.Clamp(ratio, Math.ScaleB(1.0, -LastOctave), Math.ScaleB(1.0, LastOctave));
        var unit = Math.ScaleB(1.0, Math.ILogB(ratio) - Depth);
        return Math.Round(ratio / unit) * unit;
    }

    /// <summary>
    /// Returns [B, ...] the values of the paths at a ratio, on the CPU in double precision. They are 0 at ratio 1. The tensor is cached;
    /// the caller must not dispose it.
    /// </summary>
    private Tensor Value(double ratio, long[] size)
    {
        foreach (var (known, knownSize, knownValue) in _values)
        {
            if (known == ratio && knownSize.AsSpan().SequenceEqual(size))
                return knownValue;
        }

        using var scope = NewDisposeScope();
        var samples = new Tensor[_count];
        for (var i = 0; i < samples.Length; i++)
            samples[i] = Path(_firstSample + i, ratio, size);
        var value = stack(samples).DetachFromDisposeScope();
        _values.Insert(0, (ratio, size, value));
        if (_values.Count > Remembered)
        {
            _values[^1].Value.Dispose();
            _values.RemoveAt(Remembered);
        }

        return value;
    }

    /// <summary>Computes one path at a ratio: octave by octave from ratio 1, then by bisection of the last octave.</summary>
    private Tensor Path(long sample, double ratio, long[] size)
    {
        var octave = Math.ILogB(ratio);
        var value = zeros(size, dtype: ScalarType.Float64, device: CPU);
        for (var k = Math.Min(octave, 0); k < Math.Max(octave, 0); k++)
            value.Add_(Normal(sample, k, node: 0, size), alpha: Math.Sign(octave) * Math.Sqrt(Math.ScaleB(1.0, k)));

        var left = Math.ScaleB(1.0, octave);
        if (left == ratio)
            return value;
        var length = left;
        var rise = Normal(sample, octave, node: 0, size).Mul_(Math.Sqrt(length));
        var node = 1L;
        while (left < ratio)
        {
            // Given the values at both ends of an interval, the value in the middle is normally distributed around their mean, with a
            // quarter of the length as its variance.
            var first = rise.Mul(0.5).Add_(Normal(sample, octave, node, size), alpha: 0.5 * Math.Sqrt(length));
            length *= 0.5;
            var isRight = left + length <= ratio;
            node = (2 * node) + (isRight ? 1 : 0);
            if (!isRight)
            {
                rise = first;
                continue;
            }

            value.Add_(first);
            rise.sub_(first);
            left += length;
        }

        return value;
    }

    private Tensor Normal(long sample, int octave, long node, long[] size)
    {
        using var generator = SeedSequence.Generator(CPU, _seed, sample, octave, node);
        return randn(size, dtype: ScalarType.Float64, device: CPU, generator: generator);
    }
}
