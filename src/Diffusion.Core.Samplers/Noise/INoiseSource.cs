using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>Where a sampler's Gaussian draws come from.</summary>
public interface INoiseSource : IDisposable
{
    /// <summary>The next draw from N(0, I).</summary>
    /// <param name="like">[B, ...]; gives the shape, the type and the device.</param>
    /// <returns>A new tensor; the caller's.</returns>
    Tensor Draw(Tensor like);

    /// <summary>
    /// The draw from N(0, I) that belongs to an interval of noise, for sources that follow one Brownian path however it is cut into steps;
    /// other sources just draw.
    /// </summary>
    /// <param name="like">[B, ...]; gives the shape, the type and the device.</param>
    /// <param name="from">sigma / alpha where the interval starts.</param>
    /// <param name="to">sigma / alpha where it ends.</param>
    /// <returns>A new tensor; the caller's.</returns>
    Tensor Draw(Tensor like, double from, double to) => Draw(like);
}

/// <summary>The draws of another source, each a new one whatever interval it is for.</summary>
/// <param name="source">The other source; not disposed.</param>
internal sealed class IndependentNoise(INoiseSource source) : INoiseSource
{
    /// <inheritdoc/>
    public Tensor Draw(Tensor like) => source.Draw(like);

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}

/// <summary>
/// One generator for each sample of a batch, seeded by (seed, index of the sample): a sample is the same whichever batch it is drawn
/// in. Draws are made on the CPU in double precision and then cast and moved, so that it is also the same on every device, and in
/// every type up to rounding.
/// </summary>
public sealed class PerSampleNoise : INoiseSource
{
    private readonly Generator[] _generators;

    /// <summary>The noise of samples [firstSample, firstSample + count).</summary>
    /// <param name="seed">The root seed.</param>
    /// <param name="count">B, the number of samples drawn together.</param>
    /// <param name="firstSample">The index of the first of them.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no sample, or an index is negative.</exception>
    public PerSampleNoise(long seed, long count, long firstSample = 0)
    {
        Guard.InRange(count, 1, int.MaxValue);
        Guard.InRange(firstSample, 0, long.MaxValue - count);
        _generators = new Generator[count];
        for (var i = 0; i < _generators.Length; i++)
            _generators[i] = SeedSequence.Generator(CPU, seed, firstSample + i);
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// <paramref name="like"/> is not floating point, or does not have one row for each sample.
    /// </exception>
    public Tensor Draw(Tensor like)
    {
        Guard.Floating(like);
        var shape = like.shape;
        if (shape.Length == 0 || shape[0] != _generators.Length)
            throw new ArgumentException(
                $"The noise is that of {_generators.Length} samples, got a tensor of shape {Guard.Format(shape)}.", nameof(like));
        using var scope = NewDisposeScope();
        var size = shape[1..];
        var samples = new Tensor[_generators.Length];
        for (var i = 0; i < samples.Length; i++)
            samples[i] = randn(size, dtype: ScalarType.Float64, device: CPU, generator: _generators[i]);
        GC.KeepAlive(this);
        return stack(samples).to(like.dtype, like.device).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var generator in _generators)
            generator.Dispose();
    }
}
