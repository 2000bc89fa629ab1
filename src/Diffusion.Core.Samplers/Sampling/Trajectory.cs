using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// One run of a <see cref="DiffusionSampler"/>: the current sample and the history of the solver. No dispose scope or gradient mode remains
/// active between steps, because both apply to the whole thread, on which the code that enumerates the steps also runs.
/// </summary>
internal sealed class Trajectory : IDisposable
{
    private readonly TimeGrid _grid;
    private readonly ISolver _solver;
    private readonly IEvaluator _evaluator;
    private readonly List<PastStep> _history = [];
    private readonly INoiseSource _noise;
    private readonly Func<SamplerState, Tensor?>? _onStep;
    private readonly bool _ownsNoise;
    private readonly IDisposable? _inference;
    private SharedTensor? _sample;
    private SamplerState? _state;
    private ModelPrediction? _last;
    private int _step;

    public Trajectory(DiffusionSampler sampler, TimeGrid grid, DiffusionModel model, SamplingRequest request)
    {
        (_grid, _solver, _onStep) = (grid, sampler.Solver, request.OnStep);

        // A grid can have another schedule of the same process, such as a respaced one, which then determines the timesteps.
        model = ReferenceEquals(grid.Schedule, model.Schedule) ? model : model.With(grid.Schedule);
        model = RequestStart.InTypeOf(request, model);
        _evaluator = new ModelEvaluator(model, request.Condition, sampler.Options.Threshold) { RederiveNoise = sampler.Options.RederiveNoise };
        _ownsNoise = request.Noise is null;
        _noise = request.Noise ?? new PerSampleNoise(request.Seed, request.Shape[0], request.FirstSample);
        try
        {
            _inference = model.BeginInference();
            var scale = RequestStart.Scale(sampler.Options, grid.Levels[0]);
            _sample = new SharedTensor(RequestStart.Sample(request, _noise, grid.Levels[0], scale, request.Device ?? model.Device ?? CPU));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Returns the current state. The caller must dispose it.</summary>
    public SamplerState State()
    {
        _state?.Outlive();
        return _state = new SamplerState
        {
            Step = _step,
            Steps = _grid.Count,
            Level = _grid.Levels[_step],
            Sample = _sample!.Tensor,
            Shared = _sample.Share(),
            Prediction = (_last ?? (_history.Count > 0 ? _history[0].Prediction : null))?.Share(),
        };
    }

    /// <summary>Takes one step.</summary>
    public void Advance()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var step = new SolverStep(_grid, _step, _sample!.Tensor, _evaluator, _noise) { History = _history };
        if (_solver.HistoryLength > 0)
            _ = step.Current;
        var next = _solver.Step(step);
        if (next is null || ReferenceEquals(next, _sample.Tensor))
            throw new InvalidOperationException($"{_solver.GetType().Name} must return a new tensor.");
        Guard.SameShape(_sample.Tensor, next, "the sample", $"the result of {_solver.GetType().Name}");
        if (step.TakeDeparted() is { } corrected)
        {
            _sample.Dispose();
            _sample = new SharedTensor(corrected);
        }

        Remember(_sample, step.TakeCurrent());
        _sample = new SharedTensor(next);
        _step++;
        Replace();
    }

    public void Dispose()
    {
        _sample?.Dispose();
        _last?.Dispose();
        foreach (var past in _history)
            past.Dispose();
        if (_ownsNoise)
            _noise.Dispose();
        _inference?.Dispose();
    }

    /// <summary>Calls <see cref="SamplingRequest.OnStep"/>, which may replace the new sample.</summary>
    private void Replace()
    {
        if (_onStep is null)
            return;
        using var state = State();
        _sample = RequestStart.Replace(_sample!, _onStep(state));
    }

    private void Remember(SharedTensor sample, ModelPrediction? evaluation)
    {
        if (_solver.HistoryLength == 0)
        {
            sample.Dispose();
            _last?.Dispose();
            _last = evaluation;
            return;
        }

        _history.Insert(0, new PastStep(sample, evaluation!));
        if (_history.Count <= _solver.HistoryLength)
            return;
        _history[^1].Dispose();
        _history.RemoveAt(_history.Count - 1);
    }
}
