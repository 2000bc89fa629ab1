using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The sampler of DDPM, in all steps of the schedule or fewer:
/// <c>new AncestralSampler(schedule, steps: 1000).Sample(denoiser, shape: [64, 1, 28, 28], seed: 0)</c>.
/// </summary>
/// <remarks>Source: Ho, Jain and Abbeel 2020, Algorithm 2. The step is <see cref="AncestralSolver"/>.</remarks>
public sealed class AncestralSampler : DiffusionSampler
{
    /// <summary>Ancestral sampling over a schedule.</summary>
    /// <param name="schedule">The one the network was trained with.</param>
    /// <param name="steps">N, at most the steps of the schedule.</param>
    /// <param name="variance">That of the noise added by a step; <see cref="ReverseVariance.FixedSmall"/> unless said otherwise.</param>
    /// <param name="spacing"><see cref="TimeSpacing.Trailing"/> unless said otherwise.</param>
    /// <param name="options">The prediction, the thresholding and the initial noise.</param>
    /// <exception cref="ArgumentException">
    /// An argument lies outside its range, or the prediction does not fit the schedule (see <see cref="DiffusionSampler"/>).
    /// </exception>
    public AncestralSampler(
        INoiseSchedule schedule, int steps, IReverseVariance? variance = null, ITimeSpacing? spacing = null, SamplerOptions? options = null)
        : this((spacing ?? TimeSpacing.Trailing).CreateGrid(schedule, steps), variance, options)
    {
    }

    /// <summary>Ancestral sampling over a grid of one's own.</summary>
    /// <inheritdoc cref="AncestralSampler(INoiseSchedule, int, IReverseVariance?, ITimeSpacing?, SamplerOptions?)"/>
    public AncestralSampler(TimeGrid grid, IReverseVariance? variance = null, SamplerOptions? options = null)
        : base(grid, new AncestralSolver(variance), options)
    {
    }
}
