using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Plots;

/// <summary>Measures the errors of solvers on the probability flow of a <see cref="Mixture"/>, from sigma 10.</summary>
internal sealed class Experiment : IDisposable
{
    private const double Least = 0.05;

    // Close enough to sigma 0: the flow is an even function of sigma, so its error is of order sigma^2.
    private const double Limit = 1e-5;

    private readonly Mixture _mixture = new();
    private readonly Tensor _start = tensor(new[] { -19.0, -12.0, -5.5, -1.0, 3.5, 8.0, 16.0 });
    private readonly Tensor _exact;
    private readonly Tensor _exactData;

    public Experiment() => (_exact, _exactData) = (_mixture.Solve(_start, Least), _mixture.Solve(_start, Limit));

    /// <summary>Solves the probability flow to sigma 0.05, in steps evenly spaced in log sigma.</summary>
    /// <param name="solver">The solver.</param>
    /// <param name="steps">The number of steps.</param>
    /// <param name="fractions">
    /// The points inside a step at which a singlestep method calls the network, as fractions of the step; empty for other methods.
    /// </param>
    /// <returns>The number of network calls, and the root mean square error.</returns>
    public (int Calls, double Error) Run(ISolver solver, int steps, double[] fractions)
    {
        var schedule = Mixture.Schedule(Least);
        var length = schedule.MaxTime - schedule.MinTime;
        double[] times = [.. Enumerable.Range(0, steps).Select(k => schedule.MaxTime - (length * k / steps))];
        return Walk(solver, Adapt(solver, new TimeGrid(schedule, times, schedule.LevelAt(schedule.MinTime)), fractions), _exact);
    }

    /// <summary>Solves the probability flow on the EDM grid to sigma 0.002, followed by one step to data without noise.</summary>
    /// <inheritdoc cref="Run"/>
    public (int Calls, double Error) RunToData(ISolver solver, int steps, double[] fractions)
        => Walk(solver, Adapt(solver, SigmaSpacing.Karras().CreateGrid(Mixture.Schedule(0.002), steps), fractions), _exactData);

    public void Dispose()
    {
        _mixture.Dispose();
        _start.Dispose();
        _exact.Dispose();
        _exactData.Dispose();
    }

    private static TimeGrid Adapt(ISolver solver, TimeGrid grid, double[] fractions)
        => solver is PndmSolver ? grid.WithTrapezoidStart() : fractions.Length > 0 ? grid.Refined(fractions) : grid;

    private (int Calls, double Error) Walk(ISolver solver, TimeGrid grid, Tensor exact)
    {
        var sampler = new DiffusionSampler(grid, solver, new SamplerOptions { Threshold = Thresholding.None });
        var before = _mixture.Calls;
        using var model = new DiffusionModel(_mixture.Denoiser, grid.Schedule, Prediction.X0);
        using var result = sampler.Sample(model, new SamplingRequest { Shape = _start.shape, InitialSample = _start });
        using var difference = result - exact;
        using var error = difference.mul(difference).mean().sqrt();
        return (_mixture.Calls - before, error.item<double>());
    }
}
