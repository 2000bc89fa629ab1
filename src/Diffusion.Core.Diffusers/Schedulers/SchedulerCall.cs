namespace Diffusion.Core.Diffusers;

/// <summary>
/// What diffusers takes from a call and not from the configuration: the arguments of a scheduler's <c>set_timesteps</c> and
/// <c>step</c>, under the same names and with the same defaults.
/// </summary>
public sealed record SchedulerCall
{
    /// <summary>N, the number of inference steps; null where <see cref="Timesteps"/> or <see cref="Sigmas"/> are given.</summary>
    public int? Steps { get; init; }

    /// <summary>Custom times, in decreasing order.</summary>
    public IReadOnlyList<double>? Timesteps { get; init; }

    /// <summary>Custom noise levels, in decreasing order.</summary>
    public IReadOnlyList<double>? Sigmas { get; init; }

    /// <summary>mu of a dynamic time shift.</summary>
    public double? Mu { get; init; }

    /// <summary>
    /// How many times LCM's and TCD's networks were distilled at; <see langword="null"/> for the value of the configuration.
    /// </summary>
    public int? OriginalInferenceSteps { get; init; }

    /// <summary>What share of these LCM and TCD use, from the cleanest on: below 1 for image to image.</summary>
    public double Strength { get; init; } = 1.0;

    /// <summary>eta of DDIM and TCD; null for the scheduler's own default.</summary>
    public double? Eta { get; init; }

    /// <summary>Whether DDIM derives eps from the clipped x_0.</summary>
    public bool UseClippedModelOutput { get; init; }

    /// <summary>The order of LMS; null for its default of 4.</summary>
    public int? Order { get; init; }

    /// <summary>How much noise Euler's method adds over all steps (Karras et al. 2022, Algorithm 2).</summary>
    public double SChurn { get; init; }

    /// <summary>The least sigma at which it adds noise.</summary>
    public double STmin { get; init; }

    /// <summary>The greatest sigma at which it adds noise.</summary>
    public double STmax { get; init; } = double.PositiveInfinity;

    /// <summary>The standard deviation of what it adds.</summary>
    public double SNoise { get; init; } = 1.0;

    /// <summary>The number of steps, whichever way it is given.</summary>
    /// <exception cref="ArgumentException">Nothing gives it, or two things do.</exception>
    internal int Count()
    {
        var given = (Steps is null ? 0 : 1) + (Timesteps is null ? 0 : 1) + (Sigmas is null ? 0 : 1);
        if (given != 1)
            throw new ArgumentException($"Exactly one of Steps, Timesteps and Sigmas must be given, got {given}.");
        return Guard.InRange(Steps ?? Timesteps?.Count ?? Sigmas!.Count, 1, int.MaxValue, "Steps");
    }
}
