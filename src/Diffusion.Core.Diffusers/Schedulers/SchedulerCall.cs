namespace Diffusion.Core.Diffusers;

/// <summary>
/// The arguments of <c>set_timesteps</c> and <c>step</c> of a scheduler of diffusers, which are not part of its configuration. The
/// names and the defaults are those of diffusers.
/// </summary>
public sealed record SchedulerCall
{
    /// <summary>
    /// N, the number of inference steps. It must be <see langword="null"/> if <see cref="Timesteps"/> or <see cref="Sigmas"/> are
    /// given.
    /// </summary>
    public int? Steps { get; init; }

    /// <summary>Custom timesteps, in decreasing order. The default is <see langword="null"/>: none.</summary>
    public IReadOnlyList<double>? Timesteps { get; init; }

    /// <summary>Custom noise levels, in decreasing order. The default is <see langword="null"/>: none.</summary>
    public IReadOnlyList<double>? Sigmas { get; init; }

    /// <summary>
    /// mu, the parameter of a dynamic timestep shift. It is required with <c>use_dynamic_shifting</c>. The default is
    /// <see langword="null"/>: none.
    /// </summary>
    public double? Mu { get; init; }

    /// <summary>
    /// The number of timesteps at which the networks of LCM and TCD were distilled. The default is <see langword="null"/>: the value
    /// of the configuration.
    /// </summary>
    public int? OriginalInferenceSteps { get; init; }

    /// <summary>
    /// The fraction of <see cref="OriginalInferenceSteps"/> that LCM and TCD use, starting at the lowest noise level, greater than 0
    /// and at most 1. Values below 1 are for image-to-image. The default is 1.
    /// </summary>
    public double Strength { get; init; } = 1.0;

    /// <summary>
    /// eta of DDIM and TCD. The default is <see langword="null"/>: that of the scheduler, which is 0 for DDIM and 0.3 for TCD.
    /// </summary>
    public double? Eta { get; init; }

    /// <summary>Whether DDIM derives eps from the clipped x_0. The default is <see langword="false"/>.</summary>
    public bool UseClippedModelOutput { get; init; }

    /// <summary>The order of LMS. The default is <see langword="null"/>: 4.</summary>
    public int? Order { get; init; }

    /// <summary>
    /// S_churn, the total amount of noise that Euler's method adds (Karras et al. 2022, Algorithm 2). The default is 0.
    /// </summary>
    public double SChurn { get; init; }

    /// <summary>S_tmin, the smallest sigma at which noise is added. The default is 0.</summary>
    public double STmin { get; init; }

    /// <summary>S_tmax, the largest sigma at which noise is added. The default is positive infinity.</summary>
    public double STmax { get; init; } = double.PositiveInfinity;

    /// <summary>S_noise, the standard deviation of the added noise. The default is 1.</summary>
    public double SNoise { get; init; } = 1.0;

    /// <summary>
    /// Returns the number of steps, which is given by <see cref="Steps"/>, <see cref="Timesteps"/> or <see cref="Sigmas"/>.
    /// </summary>
    /// <exception cref="ArgumentException">None or more than one of them is given.</exception>
    internal int Count()
    {
        var given = (Steps is null ? 0 : 1) + (Timesteps is null ? 0 : 1) + (Sigmas is null ? 0 : 1);
        if (given != 1)
            throw new ArgumentException(Invariant($"Exactly one of Steps, Timesteps and Sigmas must be given, got {given}."));
        return Guard.InRange(Steps ?? Timesteps?.Count ?? Sigmas!.Count, 1, int.MaxValue, "Steps");
    }

    /// <summary>Throws for custom timesteps or sigmas that a scheduler would not use.</summary>
    /// <exception cref="NotSupportedException">There are custom values of that kind.</exception>
    internal void Reject(SchedulerConfig config, bool timesteps = false, bool sigmas = false)
    {
        if ((timesteps && Timesteps is not null) || (sigmas && Sigmas is not null))
            throw new NotSupportedException(
                Invariant($"{config.ClassName} does not support custom {(timesteps && Timesteps is not null ? "timesteps" : "sigmas")}."));
    }
}
