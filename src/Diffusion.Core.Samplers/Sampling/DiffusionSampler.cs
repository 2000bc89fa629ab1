using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

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

/// <summary>What a sampler needs to know beside its grid and its method. The defaults are those of a DDPM of images in [-1, 1].</summary>
public sealed record SamplerOptions
{
    /// <summary>What the network predicts; eps unless said otherwise.</summary>
    public IPrediction Prediction { get; init; } = Schedules.Prediction.Epsilon;

    /// <summary>
    /// Keeps the predicted x_0 within the range of the data, before each step: clipping to [-1, 1] unless said otherwise. Set it to
    /// null for data without such a range.
    /// </summary>
    public IThresholding? Threshold { get; init; } = Thresholding.Static(1.0);

    /// <summary>
    /// True to derive eps from x_t and the thresholded x_0, so that the two agree and a network gives the same trajectory whatever it
    /// predicts. False keeps the network's own eps beside the thresholded x_0 (diffusers' DDIM without <c>use_clipped_model_output</c>).
    /// Where nothing is thresholded there is no difference.
    /// </summary>
    public bool RederiveNoise { get; init; } = true;

    /// <summary>
    /// True where the network answers with twice the channels of x_t, [B, 2C, ...]: the prediction, then what it says about the variance
    /// of a reverse step. Solvers that have no use for the variance leave it aside.
    /// </summary>
    public bool HasVarianceChannels { get; init; }

    /// <summary>
    /// The standard deviation of the noise that sampling starts from; null for <c>sqrt(alpha^2 + sigma^2)</c> at the start of the grid, the
    /// spread of noisy data of unit variance, which is 1 where the process preserves variance.
    /// </summary>
    public double? InitialScale { get; init; }
}
