using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The prediction of a model at one point of a trajectory, as x_0 and as eps, the two forms that solvers use. The prediction owns its
/// tensors, which are detached from dispose scopes.
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

    /// <summary>Creates a prediction from x_0 and eps.</summary>
    /// <param name="time">The time of the prediction.</param>
    /// <param name="level">alpha and sigma of the sample.</param>
    /// <param name="x0">[B, ...] the predicted x_0. Ownership passes to the prediction.</param>
    /// <param name="epsilon">The predicted eps, of the same shape. Ownership passes to the prediction.</param>
    /// <param name="variance">See <see cref="Variance"/>. Ownership passes to the prediction.</param>
    public ModelPrediction(double time, NoiseLevel level, Tensor x0, Tensor epsilon, Tensor? variance = null)
    {
        ArgumentNullException.ThrowIfNull(x0);
        ArgumentNullException.ThrowIfNull(epsilon);
        (Time, Level) = (time, level);
        _x0 = x0.DetachFromDisposeScope();
        _epsilon = epsilon.DetachFromDisposeScope();
        Variance = variance?.DetachFromDisposeScope();
    }

    /// <summary>
    /// Creates a prediction whose x_0 and eps are linear combinations of (sample, source), computed when they are first read.
    /// </summary>
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

    /// <summary>
    /// [B, ...] the predicted x_0 (diffusers' <c>pred_original_sample</c>), after clipping or thresholding. Owned by the prediction.
    /// </summary>
    public Tensor X0 => _x0 ??= _x0OfSource!.Value.Apply(_sample!, _source!).DetachFromDisposeScope();

    /// <summary>
    /// [B, ...] the predicted eps. It is consistent with <see cref="X0"/>, unless that was replaced by
    /// <see cref="ReplaceX0KeepingEpsilon"/>. Owned by the prediction.
    /// </summary>
    public Tensor Epsilon => _epsilon ??= _epsilonOfSource.Apply(_sample!, _source!).DetachFromDisposeScope();

    /// <summary>
    /// [B, ...] the second half of the output channels of the network, the v of <see cref="ReverseVariance"/>, or
    /// <see langword="null"/> if the network does not learn the variance (see <see cref="DiffusionModel.LearnsVariance"/>). Owned by
    /// the prediction.
    /// </summary>
    public Tensor? Variance { get; }

    /// <summary>
    /// Computes <c>ofX0 x_0 + ofEpsilon eps</c>. If possible, this is a single linear combination of x_t and the output of the network,
    /// without computing <see cref="X0"/> and <see cref="Epsilon"/>. If <paramref name="ofEpsilon"/> is 0, eps is not computed.
    /// </summary>
    /// <returns>[B, ...] a new tensor. The caller must dispose it.</returns>
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
    /// Replaces the predicted x_0, for example by a clipped one, and computes <see cref="Epsilon"/> from x_t and the new x_0. A
    /// prediction that was created from x_0 and eps does not contain x_t, and its <see cref="Epsilon"/> is unchanged.
    /// </summary>
    /// <param name="x0">The new x_0, with the shape and type of <see cref="X0"/>. Ownership passes to the prediction.</param>
    /// <exception cref="ArgumentException">The shapes or types differ.</exception>
    public void ReplaceX0(Tensor x0) => ReplaceX0(x0, rederiveEpsilon: true);

    /// <summary>Replaces the predicted x_0, and leaves <see cref="Epsilon"/> unchanged.</summary>
    /// <param name="x0">The new x_0, with the shape and type of <see cref="X0"/>. Ownership passes to the prediction.</param>
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

    /// <summary>Adds an owner. The tensors are freed when every owner has called <see cref="Dispose"/>.</summary>
    /// <returns>This object.</returns>
    public ModelPrediction Share()
    {
        Interlocked.Increment(ref _owners);
        return this;
    }

    /// <summary>Frees the tensors, unless the prediction has other owners that have not called this method.</summary>
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

    /// <summary>Creates a prediction from the output of a network.</summary>
    /// <param name="model">The model, which specifies the quantity that the network predicts.</param>
    /// <param name="time">The time of the prediction.</param>
    /// <param name="level">alpha and sigma of the sample.</param>
    /// <param name="previous">
    /// alpha and sigma one step nearer to the data; <paramref name="level"/> if the schedule is continuous.
    /// </param>
    /// <param name="sample">[B, ...] x_t. The prediction shares its memory, so it must not be modified in place.</param>
    /// <param name="output">[B, ...] or [B, 2C, ...], the output of the network. Ownership passes to the prediction.</param>
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
