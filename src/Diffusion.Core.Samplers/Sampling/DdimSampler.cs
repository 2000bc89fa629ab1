namespace Diffusion.Core.Samplers;

/// <summary>
/// The DDIM sampler, with any number of steps. Example: <c>new DdimSampler(steps: 50).Sample(model, shape: [64, 1, 28, 28], seed: 0)</c>.
/// </summary>
/// <remarks>Source: Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models". The step is <see cref="DdimSolver"/>.</remarks>
public sealed class DdimSampler : DiffusionSampler
{
    /// <summary>Initializes a new instance of the <see cref="DdimSampler"/> class for the schedule of the model.</summary>
    /// <param name="steps">N, at most the steps of the schedule.</param>
    /// <param name="eta">From 0 (deterministic) to 1 (ancestral). The default is 0.</param>
    /// <param name="spacing">Selects the times of the schedule. The default is <see cref="TimeSpacing.Default"/>.</param>
    /// <param name="options">Thresholding and the initial noise. The default is a new <see cref="SamplerOptions"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument is outside its range.</exception>
    public DdimSampler(int steps, double eta = 0.0, TimeSpacing? spacing = null, SamplerOptions? options = null)
        : base(new DdimSolver(eta), steps, spacing, options)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="DdimSampler"/> class with a custom grid.</summary>
    /// <param name="grid">The times to visit.</param>
    /// <param name="eta">The amount of noise, from 0 (deterministic) to 1 (ancestral). The default is 0.</param>
    /// <param name="options">Thresholding and the initial noise. The default is a new <see cref="SamplerOptions"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">An argument is outside its range.</exception>
    public DdimSampler(TimeGrid grid, double eta = 0.0, SamplerOptions? options = null)
        : base(grid, new DdimSolver(eta), options)
    {
    }
}
