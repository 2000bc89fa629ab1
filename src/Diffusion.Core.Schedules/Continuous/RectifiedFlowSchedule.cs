namespace Diffusion.Core.Schedules;

/// <summary>
/// The straight line from data to noise of flow matching and rectified flow: <c>alpha = 1 - s</c>, <c>sigma = s</c>. Times run from 0,
/// the data, to <see cref="TimeScale"/>, noise alone; without a shift t is <c>s</c> times that scale, which is the timestep that the
/// network receives.
/// </summary>
/// <remarks>
/// Source: Lipman et al. 2023, "Flow Matching for Generative Modeling"; Liu et al. 2023, "Flow Straight and Fast", with time running
/// towards noise as in Esser et al. 2024. A shift moves the even steps of a sampler, and the even draws of training, towards noise: s is
/// the shift of t / TimeScale, and the network receives s times TimeScale.
/// </remarks>
public sealed class RectifiedFlowSchedule : INoiseSchedule
{
    /// <summary>The line.</summary>
    /// <param name="timeScale">The timestep that a network receives at pure noise: 1 in most papers, 1000 in diffusers.</param>
    /// <param name="shift">The shift of times towards noise. The default is none.</param>
    /// <exception cref="ArgumentOutOfRangeException">timeScale is not finite and positive.</exception>
    public RectifiedFlowSchedule(double timeScale = 1.0, TimestepShift? shift = null)
        => (TimeScale, Shift) = (Guard.Positive(timeScale), shift ?? TimestepShift.None);

    /// <summary>The timestep that a network receives at pure noise.</summary>
    public double TimeScale { get; }

    /// <summary>How times are moved towards noise.</summary>
    public TimestepShift Shift { get; }

    /// <inheritdoc/>
    public double MinTime => 0.0;

    /// <inheritdoc/>
    public double MaxTime => TimeScale;

    /// <inheritdoc/>
    public NoiseLevel LevelAt(double t)
    {
        Guard.InRange(t, MinTime, MaxTime);

        // The rest is shifted by itself, so that alpha keeps its digits near noise.
        return new NoiseLevel(Shift.ApplyToRest((TimeScale - t) / TimeScale), Shift.Apply(t / TimeScale));
    }

    /// <inheritdoc/>
    public double ModelTimestep(double t) => Shift == TimestepShift.None ? t : TimeScale * LevelAt(t).Sigma;

    /// <inheritdoc/>
    public double InvertLogSnr(double logSnr) => TimeScale * Shift.Invert(1.0 / (1.0 + Math.Exp(0.5 * logSnr)));
}
