namespace Diffusion.Core.Schedules;

/// <summary>
/// The straight path from data to noise of flow matching and rectified flow: <c>alpha = 1 - s</c> and <c>sigma = s</c>. Times run from
/// 0, the data, to <see cref="TimeScale"/>, pure noise. The timestep passed to the network is s times <see cref="TimeScale"/>; without
/// a shift, it is t itself.
/// </summary>
/// <remarks>
/// Source: Lipman et al. 2023, "Flow Matching for Generative Modeling"; Liu et al. 2023, "Flow Straight and Fast", with the direction
/// of time of Esser et al. 2024. A shift moves the equally spaced steps of a sampler, and the uniform times of training, towards
/// noise: s is the shifted value of t / TimeScale.
/// </remarks>
public sealed class RectifiedFlowSchedule : INoiseSchedule
{
    /// <summary>Creates the schedule.</summary>
    /// <param name="timeScale">
    /// The timestep passed to the network at pure noise: 1 in most papers, 1000 in diffusers. The default is 1.
    /// </param>
    /// <param name="shift">The shift of times towards noise. The default is <see cref="TimestepShift.None"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">timeScale is not finite and positive.</exception>
    public RectifiedFlowSchedule(double timeScale = 1.0, TimestepShift? shift = null)
        => (TimeScale, Shift) = (Guard.Positive(timeScale), shift ?? TimestepShift.None);

    /// <summary>The timestep passed to the network at pure noise.</summary>
    public double TimeScale { get; }

    /// <summary>The shift of times towards noise.</summary>
    public TimestepShift Shift { get; }

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime => TimeScale;

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, MinTime, MaxTime);

        // 1 - s is computed without a subtraction from 1, so that alpha is accurate close to pure noise.
        return new NoiseLevel(Shift.ApplyToRest((TimeScale - t) / TimeScale), Shift.Apply(t / TimeScale));
    }

    /// <inheritdoc/>
    public double ModelTimestep(double t) => Shift == TimestepShift.None ? t : TimeScale * LevelAt(t).Sigma;

    /// <inheritdoc/>
    public double InvertLogSnr(double logSnr) => TimeScale * Shift.Invert(1.0 / (1.0 + Math.Exp(0.5 * logSnr)));
}
