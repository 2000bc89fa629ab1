using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DDIM in any number of steps: <c>new DdimSampler(schedule, steps: 50).Sample(denoiser, shape: [64, 1, 28, 28], seed: 0)</c>.
/// </summary>
/// <remarks>Source: Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models". The step is <see cref="DdimSolver"/>.</remarks>
public sealed class DdimSampler : DiffusionSampler
{
    /// <summary>DDIM over a schedule.</summary>
    /// <param name="schedule">The one the network was trained with.</param>
    /// <param name="steps">N, at most the steps of the schedule.</param>
    /// <param name="eta">From 0, deterministic, to 1, ancestral.</param>
    /// <param name="spacing"><see cref="TimeSpacing.Trailing"/> unless said otherwise.</param>
    /// <param name="options">The prediction, the thresholding and the initial noise.</param>
    /// <exception cref="ArgumentException">
    /// An argument lies outside its range, or the prediction does not fit the schedule (see <see cref="DiffusionSampler"/>).
    /// </exception>
    public DdimSampler(INoiseSchedule schedule, int steps, double eta = 0.0, ITimeSpacing? spacing = null, SamplerOptions? options = null)
        : this((spacing ?? TimeSpacing.Trailing).CreateGrid(schedule, steps), eta, options)
    {
    }

    /// <summary>DDIM over a grid of one's own.</summary>
    /// <inheritdoc cref="DdimSampler(INoiseSchedule, int, double, ITimeSpacing?, SamplerOptions?)"/>
    public DdimSampler(TimeGrid grid, double eta = 0.0, SamplerOptions? options = null)
        : base(grid, new DdimSolver(eta), options)
    {
    }
}
