using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>A source of Gaussian draws for a sampler.</summary>
public interface INoiseSource : IDisposable
{
    /// <summary>Returns the next draw from N(0, I).</summary>
    /// <param name="like">[B, ...] a tensor with the shape, type and device of the draw.</param>
    /// <returns>A new tensor. The caller must dispose it.</returns>
    Tensor Draw(Tensor like);

    /// <summary>
    /// Returns the draw from N(0, I) for an interval of noise levels. A source that follows a Brownian path returns the normalised
    /// increment of the path over the interval; other sources ignore the interval.
    /// </summary>
    /// <param name="like">[B, ...] a tensor with the shape, type and device of the draw.</param>
    /// <param name="from">sigma / alpha at the start of the interval.</param>
    /// <param name="to">sigma / alpha at the end of the interval.</param>
    /// <returns>A new tensor. The caller must dispose it.</returns>
    Tensor Draw(Tensor like, double from, double to) => Draw(like);
}

/// <summary>Draws independent noise from another source for every interval.</summary>
/// <param name="source">The other source. It is not disposed.</param>
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
/// A source with one generator for each sample of a batch, seeded by (seed, index of the sample), so that the noise of a sample does not
/// depend on the batch in which it is drawn. Draws are generated on the CPU in double precision and then converted and moved, so that the
/// noise is also the same on every device, and in every type up to rounding.
/// </summary>
public sealed class PerSampleNoise : INoiseSource
{
    private readonly Generator[] _generators;

    /// <summary>
    /// Initializes a new instance of the <see cref="PerSampleNoise"/> class for samples [firstSample, firstSample + count).
    /// </summary>
    /// <param name="seed">The root seed.</param>
    /// <param name="count">B, the number of samples drawn together.</param>
    /// <param name="firstSample">The index of the first sample. The default is 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The count is less than 1, or an index is negative.</exception>
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
                $"The noise source draws {_generators.Length} samples, got a tensor of shape {Guard.Format(shape)}.", nameof(like));
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
