using Diffusion.Core.Models;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The loop: a time grid, a method for one step and what the network predicts. Immutable; one sampler serves any number of
/// denoisers, batches and threads.
/// </summary>
public class DiffusionSampler : ISampler
{
    /// <summary>A sampler of any method over any grid.</summary>
    /// <param name="grid">The times to visit.</param>
    /// <param name="solver">The method for one step.</param>
    /// <param name="options">The prediction, the thresholding and the initial noise.</param>
    /// <exception cref="ArgumentException">
    /// The prediction does not determine x_0 and eps everywhere on the grid, as eps does not at a level without signal; the solver cannot
    /// walk the grid; or the initial scale is not finite and greater than 0.
    /// </exception>
    public DiffusionSampler(TimeGrid grid, ISolver solver, SamplerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(grid);
        ArgumentNullException.ThrowIfNull(solver);
        (Grid, Solver, Options) = (grid, solver, options ?? new SamplerOptions());
        ArgumentNullException.ThrowIfNull(Options.Prediction, nameof(options));
        for (var k = 0; k < grid.Count; k++)
            RequestStart.RequireDetermined(Options.Prediction, grid.Schedule, grid.Times[k], grid.Levels[k]);
        solver.Validate(grid);
        InitialScale = RequestStart.Scale(Options, grid.Levels[0]);
    }

    /// <summary>The times to visit.</summary>
    public TimeGrid Grid { get; }

    /// <summary>The method for one step.</summary>
    public ISolver Solver { get; }

    /// <summary>The prediction, the thresholding and the initial noise.</summary>
    public SamplerOptions Options { get; }

    /// <summary>The standard deviation of the noise that sampling starts from.</summary>
    public double InitialScale { get; }

    /// <inheritdoc/>
    public IEnumerable<SamplerState> Steps(IDenoiser denoiser, SamplingRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(denoiser);
        ArgumentNullException.ThrowIfNull(request);
        RequestStart.Validate(request, Options);
        return Walk(denoiser, request, cancellationToken);
    }

    private IEnumerable<SamplerState> Walk(IDenoiser denoiser, SamplingRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var trajectory = new Trajectory(this, denoiser, request);
        yield return trajectory.State;
        for (var k = 0; k < Grid.Count; k++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            trajectory.Advance();
            yield return trajectory.State;
        }
    }
}
