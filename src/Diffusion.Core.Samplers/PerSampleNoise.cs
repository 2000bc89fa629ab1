using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

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
