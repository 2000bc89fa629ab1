using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DPM-Solver with steps of its own choice: of second order, controlled by the first, or of third order, controlled by the second.
/// <c>new DpmAdaptiveSampler(schedule).Sample(denoiser, [64, 1, 28, 28], seed: 0)</c>.
/// </summary>
/// <remarks>
/// Steps are in lambda = log(alpha / sigma), errors in x / alpha. The schedule must hold signal where sampling starts.
/// Source: Lu et al. 2022, "DPM-Solver", appendix C; k-diffusion, sample_dpm_adaptive.
/// </remarks>
public sealed class DpmAdaptiveSampler : AdaptiveSampler
{
    /// <summary>Adaptive sampling over a schedule.</summary>
    /// <param name="schedule">
    /// The one the network was trained with; asked for levels between its times, and the network for those times.
    /// </param>
    /// <param name="order">2 or 3: calls of the network for each step that is tried.</param>
    /// <param name="eta">From 0, deterministic, to 1, the noise of the posterior.</param>
    /// <param name="noiseScale">The standard deviation of that noise; 1 unless said otherwise.</param>
    /// <param name="control">The tolerances and the first step; those of k-diffusion unless said otherwise.</param>
    /// <param name="options">The prediction, the thresholding and the initial noise.</param>
    /// <param name="startTime">Where to start; the last time of the schedule unless said otherwise.</param>
    /// <param name="endTime">Where the adaptive steps end; the first time of the schedule unless said otherwise.</param>
    /// <param name="endsClean">True for a last step to the x_0 predicted there.</param>
    /// <exception cref="ArgumentException">
    /// An argument lies outside its range, the schedule holds no signal at the start or no noise at the end, or the prediction does not
    /// determine x_0 and eps there.
    /// </exception>
    public DpmAdaptiveSampler(
        INoiseSchedule schedule,
        int order = 3,
        double eta = 0.0,
        double noiseScale = 1.0,
        StepSizeControl? control = null,
        SamplerOptions? options = null,
        double? startTime = null,
        double? endTime = null,
        bool endsClean = true)
        : base(schedule, control ?? new StepSizeControl(), options, startTime, endTime, endsClean)
    {
        Order = Guard.InRange(order, 2, 3);
        Eta = Guard.InRange(eta, 0.0, 1.0);
        NoiseScale = Guard.Positive(noiseScale);
        var (start, end) = (schedule.LevelAt(StartTime), schedule.LevelAt(EndTime));
        if (start.Alpha == 0.0 || end.Sigma == 0.0)
            throw new ArgumentException(
                $"Steps in log(alpha / sigma) start with signal and end with noise, got {start} and {end}; choose other times.",
                nameof(schedule));
    }

    /// <summary>2 or 3.</summary>
    public int Order { get; }

    /// <summary>How much of the posterior's noise is drawn anew, 0 to 1.</summary>
    public double Eta { get; }

    /// <summary>The standard deviation of that noise.</summary>
    public double NoiseScale { get; }

    /// <inheritdoc/>
    internal override AdaptiveMethod Begin(IEvaluator evaluator, INoiseSource noise) => new DpmAdaptiveMethod(this, evaluator, noise);
}
