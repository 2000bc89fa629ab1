using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// A sampler that chooses its own steps, so that their number is not known before the last: <see cref="SamplerState.Steps"/> is one more
/// than the steps done, until it ends. Each step waits once for the device, to read its error.
/// </summary>
/// <remarks>
/// The steps are those of the whole batch: a sample depends on the others of its batch within the tolerance, and on nothing else.
/// </remarks>
public abstract class AdaptiveSampler : ISampler
{
    private protected AdaptiveSampler(
        INoiseSchedule schedule, StepSizeControl control, SamplerOptions? options, double? startTime, double? endTime, bool endsClean)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        (Schedule, Control, Options, EndsClean) = (schedule, control, options ?? new SamplerOptions(), endsClean);
        ArgumentNullException.ThrowIfNull(Options.Prediction, nameof(options));
        StartTime = Guard.InRange(startTime ?? schedule.MaxTime, schedule.MinTime, schedule.MaxTime, nameof(startTime));
        EndTime = Guard.InRange(endTime ?? schedule.MinTime, schedule.MinTime, schedule.MaxTime, nameof(endTime));
        if (EndTime >= StartTime)
            throw new ArgumentException($"Sampling must end before the time it starts at, {StartTime}, got {EndTime}.", nameof(endTime));
        RequestStart.RequireDetermined(Options.Prediction, schedule, StartTime, schedule.LevelAt(StartTime));
        RequestStart.RequireDetermined(Options.Prediction, schedule, EndTime, schedule.LevelAt(EndTime));
        InitialScale = RequestStart.Scale(Options, schedule.LevelAt(StartTime));
    }

    /// <summary>Gives alpha and sigma.</summary>
    public INoiseSchedule Schedule { get; }

    /// <summary>How the steps are chosen.</summary>
    public StepSizeControl Control { get; }

    /// <summary>The prediction, the thresholding and the initial noise.</summary>
    public SamplerOptions Options { get; }

    /// <summary>The time that sampling starts at.</summary>
    public double StartTime { get; }

    /// <summary>The time that the adaptive steps end at.</summary>
    public double EndTime { get; }

    /// <summary>The standard deviation of the noise that sampling starts from.</summary>
    public double InitialScale { get; }

    /// <summary>
    /// True where a last step leads from <see cref="EndTime"/> to the x_0 predicted there; false where what is left of the noise stays.
    /// </summary>
    public bool EndsClean { get; }

    /// <inheritdoc/>
    public IEnumerable<SamplerState> Steps(IDenoiser denoiser, SamplingRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(denoiser);
        ArgumentNullException.ThrowIfNull(request);
        RequestStart.Validate(request, Options);
        return Walk(denoiser, request, cancellationToken);
    }

    /// <summary>The method at the start of a run.</summary>
    internal abstract AdaptiveMethod Begin(IEvaluator evaluator, INoiseSource noise);

    private IEnumerable<SamplerState> Walk(IDenoiser denoiser, SamplingRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var run = new AdaptiveRun(this, denoiser, request);
        yield return run.State;
        while (!run.IsFinished)
        {
            run.Advance(cancellationToken);
            yield return run.State;
        }
    }
}
