using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Everything a solver may look at in one step: where it is, where the step leads, what the network says, what came before, and the
/// random draws. Frees what it evaluated when it is disposed.
/// </summary>
public sealed class SolverStep : IDisposable
{
    private readonly IEvaluator _evaluator;
    private readonly SolverStep? _parent;
    private ModelPrediction? _current;
    private ModelPrediction? _shown;
    private Tensor? _departed;

    /// <summary>Step <paramref name="index"/> of a grid.</summary>
    /// <param name="grid">The grid being walked.</param>
    /// <param name="index">k, 0..N-1.</param>
    /// <param name="sample">[B, ...] the sample at level k; not changed and not taken over.</param>
    /// <param name="evaluator">The network.</param>
    /// <param name="noise">Gaussian draws.</param>
    /// <param name="history">Earlier steps, newest first; not taken over.</param>
    /// <exception cref="ArgumentOutOfRangeException">The grid has no such step.</exception>
    public SolverStep(
        TimeGrid grid, int index, Tensor sample, IEvaluator evaluator, INoiseSource noise, IReadOnlyList<PastStep>? history = null)
    {
        ArgumentNullException.ThrowIfNull(grid);
        ArgumentNullException.ThrowIfNull(sample);
        ArgumentNullException.ThrowIfNull(evaluator);
        ArgumentNullException.ThrowIfNull(noise);
        Guard.InRange(index, 0, grid.Count - 1);
        (Grid, Index, Sample, _evaluator, Noise, History) = (grid, index, sample, evaluator, noise, history ?? []);
    }

    private SolverStep(SolverStep parent, NoiseLevel target)
        : this(new TimeGrid(parent.Grid.Schedule, [parent.Time], [parent.From, target]), 0, parent.Sample, parent._evaluator, parent.Noise)
        => _parent = parent;

    private SolverStep(SolverStep parent, INoiseSource noise)
        : this(parent.Grid, parent.Index, parent.Sample, parent._evaluator, noise, parent.History)
        => _parent = parent;

    /// <summary>The grid being walked.</summary>
    public TimeGrid Grid { get; }

    /// <summary>The index k of this step, 0..N-1.</summary>
    public int Index { get; }

    /// <summary>[B, ...] x at the start of the step. Owned by the sampler; never change it in place.</summary>
    public Tensor Sample { get; }

    /// <summary>Gaussian draws.</summary>
    public INoiseSource Noise { get; }

    /// <summary>Earlier steps, newest first, at most <see cref="ISolver.HistoryLength"/> of them. Owned by the sampler.</summary>
    public IReadOnlyList<PastStep> History { get; }

    /// <summary>The time t_k that the network is told at the start of the step.</summary>
    public double Time => Grid.Times[Index];

    /// <summary>alpha and sigma at the start of the step.</summary>
    public NoiseLevel From => Grid.Levels[Index];

    /// <summary>alpha and sigma where the step leads.</summary>
    public NoiseLevel To => Grid.Levels[Index + 1];

    /// <summary>True for the step that ends the trajectory.</summary>
    public bool IsLast => Index == Grid.Count - 1;

    /// <summary>
    /// What the network says at the start of the step. The network is called when this is first read: a method that evaluates
    /// somewhere else only, such as one that first adds noise, does not pay for it. Owned by the step.
    /// </summary>
    public ModelPrediction Current => _parent?.Current ?? (_current ??= _evaluator.Evaluate(Sample, Time, From));

    /// <summary>A further call of the network, for methods with more than one a step.</summary>
    /// <param name="x">[B, ...] a sample at <paramref name="time"/>; not changed.</param>
    /// <param name="time">A time of the schedule, on the grid or between its points.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>; those of the schedule at that time unless said otherwise.</param>
    /// <returns>The caller's.</returns>
    public ModelPrediction Evaluate(Tensor x, double time, NoiseLevel? level = null)
        => _evaluator.Evaluate(x, time, level ?? Grid.Schedule.LevelAt(time));

    /// <summary>
    /// A call of the network at the start of the step, whose answer is read as if it had been given at another sample: for methods that
    /// call it before they change the sample.
    /// </summary>
    /// <param name="readAt">The shape of <see cref="Sample"/>: the sample that x_0 and eps are derived for; not changed.</param>
    /// <param name="readLevel">alpha and sigma of <paramref name="readAt"/>.</param>
    /// <returns>The evaluation of <paramref name="readAt"/>; the caller's.</returns>
    public ModelPrediction EvaluateAs(Tensor readAt, NoiseLevel readLevel) => _evaluator.EvaluateAs(Sample, Time, From, readAt, readLevel);

    /// <summary>
    /// Says which evaluation the step goes by, for methods that do not read <see cref="Current"/>: <see cref="SamplerState.Denoised"/> is
    /// then the x_0 of this one.
    /// </summary>
    /// <param name="evaluation">Taken over.</param>
    /// <returns>The same object; owned by the step.</returns>
    public ModelPrediction Show(ModelPrediction evaluation)
    {
        ArgumentNullException.ThrowIfNull(evaluation);
        if (_parent is not null)
            return _parent.Show(evaluation);
        _shown?.Dispose();
        return _shown = evaluation;
    }

    /// <summary>
    /// Where the schedule of the grid has a given log(alpha / sigma), for methods that evaluate between the points of the grid. A level
    /// beyond the schedule has the time of its end.
    /// </summary>
    /// <param name="lambda">Half the log-SNR; finite.</param>
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

    /// <summary>The same step without its history, on its way to another level than the grid's next: for methods made of others.</summary>
    /// <param name="target">alpha and sigma where the step leads.</param>
    /// <returns>A step that shares the evaluation of this one; the caller's.</returns>
    public SolverStep Towards(NoiseLevel target) => new(this, target);

    /// <summary>The same step with other draws, for methods made of others.</summary>
    /// <param name="noise">Gaussian draws; not disposed.</param>
    /// <returns>A step that shares the evaluation of this one; the caller's.</returns>
    internal SolverStep With(INoiseSource noise) => new(this, noise);

    /// <summary>A draw from N(0, I) for the way from here to the next level.</summary>
    /// <returns>The shape of <see cref="Sample"/>; the caller's.</returns>
    public Tensor DrawNoise() => Noise.Draw(Sample, From.Ratio, To.Ratio);

    /// <summary>
    /// Says that the step leaves from another sample than it was given: one that a corrector has improved. The next step finds it in
    /// its history as <see cref="PastStep.Sample"/>.
    /// </summary>
    /// <param name="corrected">The shape and type of <see cref="Sample"/>, at the same level; taken over.</param>
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

    /// <summary>The corrected sample, if there is one; the caller's from now on.</summary>
    internal Tensor? TakeDeparted()
    {
        var departed = _departed;
        _departed = null;
        return departed;
    }

    /// <summary>What was evaluated at the start of the step, or shown in its place, if anything was; the caller's from now on.</summary>
    internal ModelPrediction? TakeCurrent()
    {
        if (_current is null)
            (_current, _shown) = (_shown, null);
        var current = _current;
        _current = null;
        return current;
    }
}
