using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The input of one step of a solver: the sample, the levels at the start and the end, the prediction, the earlier steps, and the random
/// draws. Disposing the step frees the predictions that it owns.
/// </summary>
public sealed class SolverStep : IDisposable
{
    private readonly IEvaluator _evaluator;
    private readonly SolverStep? _parent;
    private ModelPrediction? _current;
    private ModelPrediction? _shown;
    private Tensor? _departed;

    /// <summary>Initializes a new instance of the <see cref="SolverStep"/> class for step <paramref name="index"/> of a grid.</summary>
    /// <param name="grid">The grid of the trajectory.</param>
    /// <param name="index">The index k of the step, 0..N-1.</param>
    /// <param name="sample">[B, ...] the sample at level k. It is neither modified nor disposed.</param>
    /// <param name="evaluator">The evaluator of the network.</param>
    /// <param name="noise">The source of Gaussian draws. It is not disposed.</param>
    /// <exception cref="ArgumentOutOfRangeException">The grid does not have a step with this index.</exception>
    public SolverStep(TimeGrid grid, int index, Tensor sample, IEvaluator evaluator, INoiseSource noise)
    {
        ArgumentNullException.ThrowIfNull(grid);
        ArgumentNullException.ThrowIfNull(sample);
        ArgumentNullException.ThrowIfNull(evaluator);
        ArgumentNullException.ThrowIfNull(noise);
        Guard.InRange(index, 0, grid.Count - 1);
        (Grid, Index, Sample, _evaluator, Noise) = (grid, index, sample, evaluator, noise);
    }

    private SolverStep(SolverStep parent, NoiseLevel target)
        : this(new TimeGrid(parent.Grid.Schedule, [parent.Time], [parent.From, target]), 0, parent.Sample, parent._evaluator, parent.Noise)
        => _parent = parent;

    private SolverStep(SolverStep parent, INoiseSource noise)
        : this(parent.Grid, parent.Index, parent.Sample, parent._evaluator, noise)
        => (_parent, History) = (parent, parent.History);

    /// <summary>The grid of the trajectory.</summary>
    public TimeGrid Grid { get; }

    /// <summary>The index k of this step, 0..N-1.</summary>
    public int Index { get; }

    /// <summary>[B, ...] x at the start of the step. Owned by the sampler. It must not be modified in place.</summary>
    public Tensor Sample { get; }

    /// <summary>The source of Gaussian draws.</summary>
    public INoiseSource Noise { get; }

    /// <summary>Earlier steps, newest first, at most <see cref="ISolver.HistoryLength"/> of them. Owned by the sampler.</summary>
    public IReadOnlyList<PastStep> History { get; init; } = [];

    /// <summary>The time t_k at the start of the step, which determines the timestep passed to the network.</summary>
    public double Time => Grid.Times[Index];

    /// <summary>alpha and sigma at the start of the step.</summary>
    public NoiseLevel From => Grid.Levels[Index];

    /// <summary>alpha and sigma at the end of the step.</summary>
    public NoiseLevel To => Grid.Levels[Index + 1];

    /// <summary>Whether this is the last step of the grid.</summary>
    public bool IsLast => Index == Grid.Count - 1;

    /// <summary>
    /// The prediction at the start of the step. The network is called when the property is first read, so that a method that does not need
    /// this prediction, such as one that adds noise first, avoids the call. Owned by the step.
    /// </summary>
    public ModelPrediction Current => _parent?.Current ?? (_current ??= _evaluator.Evaluate(Sample, Time, From));

    /// <summary>Calls the network again, for methods with more than one call per step.</summary>
    /// <param name="x">[B, ...] a sample at <paramref name="time"/>. It must not be modified while the prediction is in use.</param>
    /// <param name="time">A time of the schedule, on the grid or between its points.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>. The default is the level of the schedule at that time.</param>
    /// <returns>The prediction. The caller must dispose it.</returns>
    public ModelPrediction Evaluate(Tensor x, double time, NoiseLevel? level = null)
        => _evaluator.Evaluate(x, time, level ?? Grid.Schedule.LevelAt(time));

    /// <summary>
    /// Calls the network at the start of the step and derives x_0 and eps for another sample, for methods that call the network before they
    /// change the sample.
    /// </summary>
    /// <param name="readAt">
    /// The sample for which x_0 and eps are derived, with the shape of <see cref="Sample"/>. It is not modified.
    /// </param>
    /// <param name="readLevel">alpha and sigma of <paramref name="readAt"/>.</param>
    /// <returns>The prediction for <paramref name="readAt"/>. The caller must dispose it.</returns>
    public ModelPrediction EvaluateAs(Tensor readAt, NoiseLevel readLevel) => _evaluator.EvaluateAs(Sample, Time, From, readAt, readLevel);

    /// <summary>
    /// Sets the prediction of the step, for methods that do not read <see cref="Current"/>. <see cref="SamplerState.Denoised"/> is then the
    /// x_0 of this prediction.
    /// </summary>
    /// <param name="evaluation">The prediction. Ownership passes to the step.</param>
    /// <returns>The same object. Owned by the step.</returns>
    public ModelPrediction Show(ModelPrediction evaluation)
    {
        ArgumentNullException.ThrowIfNull(evaluation);
        if (_parent is not null)
            return _parent.Show(evaluation);
        _shown?.Dispose();
        return _shown = evaluation;
    }

    /// <summary>
    /// Returns the time and the level at which the schedule of the grid has a given log(alpha / sigma), for methods that call the network
    /// between the points of the grid. A level outside the schedule has the time of the nearer end of the schedule.
    /// </summary>
    /// <param name="lambda">log(alpha / sigma), which is half the log-SNR. It must be finite.</param>
    public (double Time, NoiseLevel Level) At(double lambda)
    {
        var schedule = Grid.Schedule;
        if (lambda > schedule.LevelAt(schedule.MinTime).Lambda)
            return Beyond(schedule.MinTime);
        if (lambda < schedule.LevelAt(schedule.MaxTime).Lambda)
            return Beyond(schedule.MaxTime);
        var time = schedule.TimeOf(2.0 * lambda);
        return (time, schedule.LevelAt(time));

        (double Time, NoiseLevel Level) Beyond(double end)
        {
            var level = schedule.LevelAt(end);
            var ratio = Math.Exp(-lambda);
            var scale = Math.Sqrt(((level.Alpha * level.Alpha) + (level.Sigma * level.Sigma)) / (1.0 + (ratio * ratio)));
            return (end, new NoiseLevel(scale, scale * ratio));
        }
    }

    /// <summary>
    /// Creates a step from the same start to another level, without history, for methods that are composed of other methods.
    /// </summary>
    /// <param name="target">alpha and sigma at the end of the step.</param>
    /// <returns>A step that shares the prediction of this one. The caller must dispose it.</returns>
    public SolverStep Towards(NoiseLevel target) => new(this, target);

    /// <summary>Creates a copy of this step with another source of noise, for methods that are composed of other methods.</summary>
    /// <param name="noise">The source of Gaussian draws. It is not disposed.</param>
    /// <returns>A step that shares the prediction of this one. The caller must dispose it.</returns>
    internal SolverStep With(INoiseSource noise) => new(this, noise);

    /// <summary>Returns a draw from N(0, I) for the interval from the current level to the next.</summary>
    /// <returns>A tensor with the shape of <see cref="Sample"/>. The caller must dispose the tensor.</returns>
    public Tensor DrawNoise() => Noise.Draw(Sample, From.NoiseToSignalRatio, To.NoiseToSignalRatio);

    /// <summary>
    /// Replaces the sample at the start of the step, for example with the result of a corrector. The history of the next step contains it
    /// as <see cref="PastStep.Sample"/>.
    /// </summary>
    /// <param name="corrected">
    /// A sample at the same level, with the shape and type of <see cref="Sample"/>. Ownership passes to the step.
    /// </param>
    /// <exception cref="ArgumentException">The shapes or types differ.</exception>
    public void DepartFrom(Tensor corrected)
    {
        Guard.SameShape(Sample, corrected);
        Guard.SameType(Sample, corrected);
        if (_parent is not null)
        {
            _parent.DepartFrom(corrected);
            return;
        }

        _departed?.Dispose();
        _departed = corrected.DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _current?.Dispose();
        _shown?.Dispose();
        _departed?.Dispose();
    }

    /// <summary>Returns the corrected sample, or <see langword="null"/>. Ownership passes to the caller.</summary>
    internal Tensor? TakeDeparted()
    {
        var departed = _departed;
        _departed = null;
        return departed;
    }

    /// <summary>
    /// Returns the prediction at the start of the step, the prediction set by <see cref="Show"/> if there is none, or
    /// <see langword="null"/>. Ownership passes to the caller.
    /// </summary>
    internal ModelPrediction? TakeCurrent()
    {
        if (_current is null)
            (_current, _shown) = (_shown, null);
        var current = _current;
        _current = null;
        return current;
    }
}
