using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// What the network says at one point of a trajectory, in the two forms that every solver is written in. Owns its tensors, whatever
/// dispose scope is open when they are made.
/// </summary>
public sealed class Evaluation : IDisposable
{
    private static readonly LinearPair _sourceItself = new(0.0, 1.0);

    private readonly Tensor? _sample;
    private readonly Tensor? _source;
    private readonly LinearPair? _dataOfSource;
    private readonly LinearPair _noiseOfSource;
    private Tensor? _data;
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
        _data = data.DetachFromDisposeScope();
        _noise = noise.DetachFromDisposeScope();
        Variance = variance?.DetachFromDisposeScope();
    }

    /// <summary>An evaluation whose two forms are pairs of (sample, source), computed when they are first asked for.</summary>
    /// <param name="time">The time it was made at.</param>
    /// <param name="level">alpha and sigma it was made at.</param>
    /// <param name="sample">[B, ...] x_t, not changed afterwards; shared, not taken over.</param>
    /// <param name="source">The output of the network, or a thresholded x_0; taken over.</param>
    /// <param name="data">The coefficients of x_0.</param>
    /// <param name="noise">The coefficients of eps.</param>
    /// <param name="variance">What the network says about the variance, or null; taken over.</param>
    internal Evaluation(
        double time, NoiseLevel level, Tensor sample, Tensor source, LinearPair data, LinearPair noise, Tensor? variance)
        : this(time, level, sample, source, noise, variance)
    {
        _dataOfSource = data;
        if (data == _sourceItself)
            _data = source;
    }

    /// <summary>An evaluation whose x_0 is known, and whose eps is a pair of (sample, source).</summary>
    /// <param name="time">The time it was made at.</param>
    /// <param name="level">alpha and sigma it was made at.</param>
    /// <param name="data">[B, ...] the predicted x_0; taken over.</param>
    /// <param name="sample">x_t, not changed afterwards; shared, not taken over.</param>
    /// <param name="source">The output of the network; taken over.</param>
    /// <param name="noise">The coefficients of eps.</param>
    /// <param name="variance">What the network says about the variance, or null; taken over.</param>
    internal Evaluation(
        double time, NoiseLevel level, Tensor data, Tensor sample, Tensor source, LinearPair noise, Tensor? variance)
        : this(time, level, sample, source, noise, variance)
        => _data = data.DetachFromDisposeScope();

    private Evaluation(double time, NoiseLevel level, Tensor sample, Tensor source, LinearPair noise, Tensor? variance)
    {
        (Time, Level, _noiseOfSource) = (time, level, noise);
        _source = source.DetachFromDisposeScope();
        _sample = sample.alias().DetachFromDisposeScope();
        Variance = variance?.DetachFromDisposeScope();
        if (noise == _sourceItself)
            _noise = source;
    }

    /// <summary>The time it was made at.</summary>
    public double Time { get; }

    /// <summary>alpha and sigma it was made at.</summary>
    public NoiseLevel Level { get; }

    /// <summary>[B, ...] the predicted x_0, after thresholding. Owned by the evaluation.</summary>
    public Tensor Data => _data ??= _dataOfSource!.Value.Apply(_sample!, _source!).DetachFromDisposeScope();

    /// <summary>[B, ...] the predicted eps that goes with it. Owned by the evaluation.</summary>
    public Tensor Noise => _noise ??= _noiseOfSource.Apply(_sample!, _source!).DetachFromDisposeScope();

    /// <summary>
    /// [B, ...] the second half of the network's channels, v of <see cref="IReverseVariance"/>; null unless
    /// <see cref="SamplerOptions.HasVarianceChannels"/>. Owned by the evaluation.
    /// </summary>
    public Tensor? Variance { get; }

    /// <summary>
    /// <c>ofData x_0 + ofNoise eps</c>, in one combination of x_t and the network's output where nothing has come between them: half the
    /// work of making x_0 and eps first. Without eps it is x_0 itself, and no eps is derived.
    /// </summary>
    /// <returns>A new tensor; the caller's.</returns>
    public Tensor Mix(double ofData, double ofNoise)
    {
        if (ofNoise == 0.0)
            return Data.Mul(ofData);
        if (_dataOfSource is not { } data)
            return new LinearPair(ofData, ofNoise).Apply(Data, Noise);
        var pair = new LinearPair(
            (ofData * data.First) + (ofNoise * _noiseOfSource.First), (ofData * data.Second) + (ofNoise * _noiseOfSource.Second));
        return pair.Apply(_sample!, _source!);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _data?.Dispose();
        Variance?.Dispose();
        _sample?.Dispose();
        _source?.Dispose();
        _noise?.Dispose();
    }
}
