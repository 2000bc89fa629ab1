using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// What the network says at one point of a trajectory, in the two forms that every solver is written in. Owns its tensors, whatever
/// dispose scope is open when they are made.
/// </summary>
public sealed class Evaluation : IDisposable
{
    private readonly Tensor? _sample;
    private readonly Tensor? _source;
    private readonly LinearPair _noiseOfSource;
    private Tensor? _noise;

    /// <summary>An evaluation whose two forms are known.</summary>
    /// <param name="time">The time it was made at.</param>
    /// <param name="level">alpha and sigma it was made at.</param>
    /// <param name="data">[B, ...] the predicted x_0; taken over.</param>
    /// <param name="noise">The predicted eps, of the same shape; taken over.</param>
    /// <param name="variance">What the network says about the variance, or null; taken over.</param>
    public Evaluation(double time, NoiseLevel level, Tensor data, Tensor noise, Tensor? variance = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(noise);
        (Time, Level) = (time, level);
        Data = data.DetachFromDisposeScope();
        _noise = noise.DetachFromDisposeScope();
        Variance = variance?.DetachFromDisposeScope();
    }

    /// <summary>An evaluation whose eps is <paramref name="noise"/> of (sample, source), computed when it is first asked for.</summary>
    /// <param name="time">The time it was made at.</param>
    /// <param name="level">alpha and sigma it was made at.</param>
    /// <param name="data">[B, ...] the predicted x_0; taken over.</param>
    /// <param name="sample">x_t, not changed afterwards; shared, not taken over.</param>
    /// <param name="source">The output of the network, or <paramref name="data"/>; taken over.</param>
    /// <param name="noise">The coefficients.</param>
    /// <param name="variance">What the network says about the variance, or null; taken over.</param>
    internal Evaluation(
        double time, NoiseLevel level, Tensor data, Tensor sample, Tensor source, LinearPair noise, Tensor? variance)
    {
        (Time, Level, _noiseOfSource) = (time, level, noise);
        Data = data.DetachFromDisposeScope();
        source.DetachFromDisposeScope();
        Variance = variance?.DetachFromDisposeScope();
        if (noise == new LinearPair(0.0, 1.0))
        {
            _noise = source;
            return;
        }

        _source = source;
        _sample = sample.detach().DetachFromDisposeScope();
    }

    /// <summary>The time it was made at.</summary>
    public double Time { get; }

    /// <summary>alpha and sigma it was made at.</summary>
    public NoiseLevel Level { get; }

    /// <summary>[B, ...] the predicted x_0, after thresholding. Owned by the evaluation.</summary>
    public Tensor Data { get; }

    /// <summary>[B, ...] the predicted eps that goes with it. Owned by the evaluation.</summary>
    public Tensor Noise => _noise ??= _noiseOfSource.Apply(_sample!, _source!).DetachFromDisposeScope();

    /// <summary>
    /// [B, ...] the second half of the network's channels, v of <see cref="IReverseVariance"/>; null unless
    /// <see cref="SamplerOptions.HasVarianceChannels"/>. Owned by the evaluation.
    /// </summary>
    public Tensor? Variance { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Data.Dispose();
        Variance?.Dispose();
        _sample?.Dispose();
        _source?.Dispose();
        _noise?.Dispose();
    }
}
