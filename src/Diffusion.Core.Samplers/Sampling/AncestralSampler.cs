using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The sampler of DDPM, with all steps of the schedule or fewer.
/// Example: <c>new AncestralSampler().Sample(model, shape: [64, 1, 28, 28], seed: 0)</c>.
/// </summary>
/// <remarks>Source: Ho, Jain and Abbeel 2020, Algorithm 2. The step is <see cref="AncestralSolver"/>.</remarks>
public sealed class AncestralSampler : DiffusionSampler
{
    /// <summary>Initializes a new instance of the <see cref="AncestralSampler"/> class for the schedule of the model.</summary>
    /// <param name="steps">
    /// N, the number of steps, at most that of the schedule. The default is all steps of the schedule, which must be discrete.
    /// </param>
    /// <param name="variance">
    /// The variance of the noise added by a step. The default is <see cref="ReverseVariance.LearnedRange"/> for a model that learns its
    /// variance, and <see cref="ReverseVariance.FixedSmall"/> for others.
    /// </param>
    /// <param name="spacing">Selects the times of the schedule. The default is <see cref="TimeSpacing.Default"/>.</param>
    /// <param name="options">Thresholding and the initial noise. The default is a new <see cref="SamplerOptions"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="steps"/> is less than 1.</exception>
    public AncestralSampler(
        int? steps = null, ReverseVariance? variance = null, TimeSpacing? spacing = null, SamplerOptions? options = null)
        : base(
            new AncestralSolver(variance),
            steps is { } count ? Guard.InRange(count, 1, int.MaxValue, nameof(steps)) : null,
            spacing,
            options,
            grid: null)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="AncestralSampler"/> class with a custom grid.</summary>
    /// <param name="grid">The times to visit.</param>
    /// <param name="variance">
    /// The variance of the noise added by a step. The default is <see cref="ReverseVariance.LearnedRange"/> for a model that learns its
    /// variance, and <see cref="ReverseVariance.FixedSmall"/> for others.
    /// </param>
    /// <param name="options">Thresholding and the initial noise. The default is a new <see cref="SamplerOptions"/>.</param>
    public AncestralSampler(TimeGrid grid, ReverseVariance? variance = null, SamplerOptions? options = null)
        : base(grid, new AncestralSolver(variance), options)
    {
    }
}
