using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// What a model predicts at one point of a trajectory, as x_0 and as eps, the two forms that every solver is written in. Owns its tensors,
/// which belong to no dispose scope.
/// </summary>
public sealed class ModelPrediction : IDisposable
{
    private static readonly LinearPair _outputItself = new(0.0, 1.0);

    private readonly Tensor? _sample;
    private Tensor? _source;
    private LinearPair? _x0OfSource;
    private LinearPair _epsilonOfSource;
    private Tensor? _x0;
    private Tensor? _epsilon;
    private int _owners = 1;

    /// <summary>A prediction whose two forms are known.</summary>
    /// <param name="time">The time of the prediction.</param>
    /// <param name="level">alpha and sigma of the sample.</param>
    /// <param name="x0">[B, ...] the predicted x_0. Ownership passes to the prediction.</param>
    /// <param name="epsilon">The predicted eps, of the same shape. Ownership passes to the prediction.</param>
    /// <param name="variance">What the network learned about the variance, or <see langword="null"/>. Ownership passes to the prediction.</param>
    public ModelPrediction(double time, NoiseLevel level, Tensor x0, Tensor epsilon, Tensor? variance = null)
    {
        ArgumentNullException.ThrowIfNull(x0);
        ArgumentNullException.ThrowIfNull(epsilon);
        (Time, Level) = (time, level);
        _x0 = x0.DetachFromDisposeScope();
        _epsilon = epsilon.DetachFromDisposeScope();
        Variance = variance?.DetachFromDisposeScope();
    }

    /// <summary>A prediction whose two forms are pairs of (sample, source), computed when they are first read.</summary>
    private ModelPrediction(
        double time, NoiseLevel level, Tensor sample, Tensor source, LinearPair x0, LinearPair epsilon, Tensor? variance)
    {
        (Time, Level, _x0OfSource, _epsilonOfSource) = (time, level, x0, epsilon);
        _source = source.DetachFromDisposeScope();
        _sample = sample.alias().DetachFromDisposeScope();
        Variance = variance?.DetachFromDisposeScope();
        if (x0 == _outputItself)
            _x0 = _source;
        if (epsilon == _outputItself)
            _epsilon = _source;
    }

    /// <summary>The time of the prediction.</summary>
    public double Time { get; }

    /// <summary>alpha and sigma of the sample.</summary>
    public NoiseLevel Level { get; }

    /// <summary>[B, ...] the predicted x_0 (diffusers' <c>pred_original_sample</c>), after thresholding. Owned by the prediction.</summary>
    public Tensor X0 => _x0 ??= _x0OfSource!.Value.Apply(_sample!, _source!).DetachFromDisposeScope();

    /// <summary>[B, ...] the predicted eps that belongs to <see cref="X0"/>. Owned by the prediction.</summary>
    public Tensor Epsilon => _epsilon ??= _epsilonOfSource.Apply(_sample!, _source!).DetachFromDisposeScope();

    /// <summary>
    /// [B, ...] the second half of the network's channels, v of <see cref="ReverseVariance"/>; <see langword="null"/> unless
    /// <see cref="DiffusionModel.LearnsVariance"/>. Owned by the prediction.
    /// </summary>
    public Tensor? Variance { get; }

    /// <summary>
    /// <c>ofX0 x_0 + ofEpsilon eps</c>, computed from x_t and the output of the network at once where <see cref="X0"/> was not replaced. With
    /// an <paramref name="ofEpsilon"/> of 0, eps is not derived.
    /// </summary>
    /// <returns>A new tensor. The caller must dispose it.</returns>
    public Tensor Mix(double ofX0, double ofEpsilon)
    {
        if (ofEpsilon == 0.0)
            return X0.Mul(ofX0);
        if (_x0OfSource is not { } x0)
            return new LinearPair(ofX0, ofEpsilon).Apply(X0, Epsilon);
        var pair = new LinearPair(
            (ofX0 * x0.First) + (ofEpsilon * _epsilonOfSource.First), (ofX0 * x0.Second) + (ofEpsilon * _epsilonOfSource.Second));
        return pair.Apply(_sample!, _source!);
    }

    /// <summary>
    /// Replaces the predicted x_0, by one that is thresholded for example, and derives <see cref="Epsilon"/> from x_t and the new x_0, so
    /// that the two agree.
    /// </summary>
    /// <param name="x0">The shape and type of <see cref="X0"/>. Ownership passes to the prediction.</param>
    /// <exception cref="ArgumentException">The shapes or types differ.</exception>
    public void ReplaceX0(Tensor x0) => ReplaceX0(x0, rederiveEpsilon: true);

    /// <summary>Replaces the predicted x_0 as <see cref="ReplaceX0(Tensor)"/>, and keeps the predicted <see cref="Epsilon"/>.</summary>
    /// <param name="x0">The shape and type of <see cref="X0"/>. Ownership passes to the prediction.</param>
    /// <exception cref="ArgumentException">The shapes or types differ.</exception>
    public void ReplaceX0KeepingEpsilon(Tensor x0) => ReplaceX0(x0, rederiveEpsilon: false);

    private void ReplaceX0(Tensor x0, bool rederiveEpsilon)
    {
        Guard.SameShape(X0, x0, nameof(X0), nameof(x0));
        Guard.SameType(X0, x0, nameof(X0), nameof(x0));
        var replaced = _x0!;
        _x0 = x0.DetachFromDisposeScope();
        if (rederiveEpsilon && _sample is not null)
        {
            _source?.Dispose();
            _epsilon?.Dispose();
            (_source, _epsilon) = (_x0, null);
            (_x0OfSource, _epsilonOfSource) = (_outputItself, Prediction.EpsilonGivenX0(Level));
        }
        else
        {
            _x0OfSource = null;
        }

        if (!ReferenceEquals(replaced, _source) && !ReferenceEquals(replaced, _epsilon))
            replaced.Dispose();
    }

    /// <summary>Gives the prediction one more owner. It is freed when each of them has disposed it.</summary>
    /// <returns>This object.</returns>
    public ModelPrediction Share()
    {
        Interlocked.Increment(ref _owners);
        return this;
    }

    /// <summary>Frees the tensors, unless the prediction is shared with owners that have not disposed it.</summary>
    public void Dispose()
    {
        if (Interlocked.Decrement(ref _owners) > 0)
            return;
        _x0?.Dispose();
        Variance?.Dispose();
        _sample?.Dispose();
        _source?.Dispose();
        _epsilon?.Dispose();
    }

    /// <summary>The prediction that an output of the network means.</summary>
    /// <param name="model">What the output means.</param>
    /// <param name="time">The time of the prediction.</param>
    /// <param name="level">alpha and sigma of the sample.</param>
    /// <param name="previous">alpha and sigma one step nearer to the data.</param>
    /// <param name="sample">[B, ...] x_t, which is shared and must not change.</param>
    /// <param name="output">[B, ...] or [B, 2C, ...]. Ownership passes to the prediction.</param>
    internal static ModelPrediction Of(
        DiffusionModel model, double time, NoiseLevel level, NoiseLevel previous, Tensor sample, Tensor output)
    {
        var (x0, epsilon) = (model.Prediction.ToX0(level, previous), model.Prediction.ToEpsilon(level, previous));
        if (!model.LearnsVariance)
            return new ModelPrediction(time, level, sample, output, x0, epsilon, null);
        using var both = output;
        var channels = sample.shape[1];
        return new ModelPrediction(
            time, level, sample, both.narrow(1, 0, channels), x0, epsilon, both.narrow(1, channels, channels));
    }
}
