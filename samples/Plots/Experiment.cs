using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Plots;

/// <summary>Solvers on the probability flow of a <see cref="Mixture"/>, from sigma 10 to .05 in even steps of log sigma.</summary>
internal sealed class Experiment : IDisposable
{
    private readonly Mixture _mixture = new();
    private readonly Tensor _start = tensor(new[] { -19.0, -12.0, -5.5, -1.0, 3.5, 8.0, 16.0 });
    private readonly Tensor _exact;

    public Experiment() => _exact = _mixture.Solve(_start);

    /// <summary>One walk: what it cost, and the root mean square of its error.</summary>
    /// <param name="solver">The method.</param>
    /// <param name="steps">N.</param>
    /// <param name="fractions">Where inside a step a singlestep method evaluates.</param>
    public (int Calls, double Error) Run(ISolver solver, int steps, double[] fractions)
    {
        var schedule = Mixture.Schedule;
        var length = schedule.MaxTime - schedule.MinTime;
        double[] times = [.. Enumerable.Range(0, steps).Select(k => schedule.MaxTime - (length * k / steps))];
        var grid = new TimeGrid(schedule, times, schedule.LevelAt(schedule.MinTime));
        if (solver is PndmSolver)
            grid = grid.WithTrapezoidStart();
        var sampler = new DiffusionSampler(
            fractions.Length == 0 ? grid : grid.Refined(fractions), solver, new SamplerOptions { Prediction = Prediction.Data, Threshold = null });
        var before = _mixture.Calls;
        using var result = sampler.Sample(_mixture.Denoiser, new SamplingRequest { Shape = _start.shape, InitialSample = _start });
        using var difference = result - _exact;
        using var error = difference.square().mean().sqrt();
        return (_mixture.Calls - before, error.item<double>());
    }

    public void Dispose()
    {
        _mixture.Dispose();
        _start.Dispose();
        _exact.Dispose();
    }
}
