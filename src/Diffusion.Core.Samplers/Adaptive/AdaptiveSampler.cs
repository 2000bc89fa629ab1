using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

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
        StepSizeControl control, SamplerOptions? options, double? startTime, double? endTime, bool endsClean)
    {
        (Control, Options, EndsClean) = (control, options ?? new SamplerOptions(), endsClean);
        (StartTime, EndTime) = (startTime, endTime);
        if (endTime >= startTime)
            throw new ArgumentException($"Sampling must end before the time it starts at, {startTime}, got {endTime}.", nameof(endTime));
        if (Options.InitialScale is { } scale)
            Guard.Positive(scale, "options.InitialScale");
    }

    /// <summary>How the steps are chosen.</summary>
    public StepSizeControl Control { get; }

    /// <summary>Thresholding and the initial noise.</summary>
    public SamplerOptions Options { get; }

    /// <summary>The time that sampling starts at; <see langword="null"/> for the last time of the schedule.</summary>
    public double? StartTime { get; }

    /// <summary>The time that the adaptive steps end at; <see langword="null"/> for the first time of the schedule.</summary>
    public double? EndTime { get; }

    /// <summary>
    /// True where a last step leads from <see cref="EndTime"/> to the x_0 predicted there; false where what is left of the noise stays.
    /// </summary>
    public bool EndsClean { get; }

    /// <inheritdoc/>
    public IEnumerable<SamplerState> Steps(DiffusionModel model, SamplingRequest request, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(request);
        RequestStart.Validate(request, model);
        var schedule = model.Schedule;
        var start = Guard.InRange(StartTime ?? schedule.MaxTime, schedule.MinTime, schedule.MaxTime, nameof(StartTime));
        var end = Guard.InRange(EndTime ?? schedule.MinTime, schedule.MinTime, schedule.MaxTime, nameof(EndTime));
        if (end >= start)
            throw new ArgumentException($"Sampling must end before the time it starts at, {start}, got {end}.", nameof(model));
        RequestStart.RequireDetermined(model, schedule, start, schedule.LevelAt(start));
        RequestStart.RequireDetermined(model, schedule, end, schedule.LevelAt(end));
        var span = new AdaptiveSpan(schedule, start, end);
        Validate(span);
        return Walk(span, model, request, cancellationToken);
    }

    /// <summary>Throws where the method cannot walk from one end to the other.</summary>
    internal virtual void Validate(AdaptiveSpan span)
    {
    }

    /// <summary>The method at the start of a run.</summary>
    internal abstract AdaptiveMethod Begin(AdaptiveSpan span, IEvaluator evaluator, INoiseSource noise);

    private IEnumerable<SamplerState> Walk(
        AdaptiveSpan span, DiffusionModel model, SamplingRequest request, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var run = new AdaptiveRun(this, span, model, request);
        yield return run.State();
        while (!run.IsFinished)
        {
            run.Advance(cancellationToken);
            yield return run.State();
        }
    }
}

/// <summary>The part of a schedule that an <see cref="AdaptiveSampler"/> walks.</summary>
/// <param name="Schedule">Gives alpha and sigma.</param>
/// <param name="StartTime">The time that sampling starts at.</param>
/// <param name="EndTime">The time that the adaptive steps end at.</param>
internal sealed record AdaptiveSpan(INoiseSchedule Schedule, double StartTime, double EndTime);

/// <summary>A method with an estimate of its own error, during one run of an <see cref="AdaptiveSampler"/>.</summary>
internal abstract class AdaptiveMethod : IDisposable
{
    /// <summary>The time reached.</summary>
    public abstract double Time { get; }

    /// <summary>alpha and sigma at that time.</summary>
    public abstract NoiseLevel Level { get; }

    /// <summary>True once <see cref="AdaptiveSpan.EndTime"/> is reached.</summary>
    public abstract bool IsAtEnd { get; }

    /// <summary>Tries one step.</summary>
    /// <param name="x">[B, ...] the sample at <see cref="Level"/>; not changed.</param>
    /// <returns>
    /// The sample at the level that is now reached, the caller's; null where the step was too long, and nothing has changed.
    /// </returns>
    public abstract Tensor? TryStep(Tensor x);

    /// <summary>Frees what is kept of earlier steps, which does not hold for a sample that the caller has replaced.</summary>
    public abstract void Forget();

    public void Dispose() => Forget();

    /// <summary>The root mean square of <c>difference / tolerance</c>. Waits for the device, as nothing else of a step does.</summary>
    protected static double Error(StepSizeControl control, Tensor difference, Tensor first, Tensor second)
    {
        using var scope = NewDisposeScope();
        var tolerance = first.abs().maximum(second.abs()).Mul_(control.RelativeTolerance).ClampMin(control.AbsoluteTolerance);
        return difference.div(tolerance).to(ScalarType.Float64).norm().cpu().item<double>() / Math.Sqrt(difference.numel());
    }
}

/// <summary>One run of an <see cref="AdaptiveSampler"/>: the current sample, and the method that moves it.</summary>
internal sealed class AdaptiveRun : IDisposable
{
    private readonly AdaptiveSampler _sampler;
    private readonly ModelEvaluator _evaluator;
    private readonly Func<SamplerState, Tensor?>? _onStep;
    private readonly INoiseSource _noise;
    private readonly bool _ownsNoise;
    private readonly IDisposable? _inference;
    private readonly AdaptiveMethod _method;
    private NoiseLevel _level;
    private SharedTensor? _sample;
    private SamplerState? _state;
    private int _step;

    public AdaptiveRun(AdaptiveSampler sampler, AdaptiveSpan span, DiffusionModel model, SamplingRequest request)
    {
        (_sampler, _onStep) = (sampler, request.OnStep);
        _evaluator = new ModelEvaluator(model, request.Condition, sampler.Options.Threshold, sampler.Options.RederiveNoise);
        _ownsNoise = request.Noise is null;
        _noise = request.Noise ?? new PerSampleNoise(request.Seed, request.Shape[0], request.FirstSample);
        _method = sampler.Begin(span, _evaluator, _noise);
        _level = _method.Level;
        try
        {
            _inference = model.BeginInference();
            var scale = RequestStart.Scale(sampler.Options, _level);
            _sample = new SharedTensor(RequestStart.Sample(request, _noise, _level, scale, request.Device ?? model.Device ?? CPU));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>True after the last step.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Where the run stands. The caller must dispose it.</summary>
    public SamplerState State()
    {
        _state?.Outlive();
        return _state = new SamplerState
        {
            Step = _step,
            Steps = IsFinished ? _step : _step + 1,
            Level = _level,
            Sample = _sample!.Tensor,
            Shared = _sample.Share(),
        };
    }

    /// <summary>Takes one step, after as many tries as it needs.</summary>
    public void Advance(CancellationToken cancellationToken)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        Tensor? next = null;
        if (_method.IsAtEnd)
        {
            using var evaluation = _evaluator.Evaluate(_sample!.Tensor, _method.Time, _level);
            next = evaluation.X0.clone();
            (_level, IsFinished) = (NoiseLevel.Clean, true);
        }

        while (next is null)
        {
            cancellationToken.ThrowIfCancellationRequested();
            next = _method.TryStep(_sample!.Tensor);
            _level = _method.Level;
            IsFinished = _method.IsAtEnd && !_sampler.EndsClean;
        }

        _sample!.Dispose();
        _sample = new SharedTensor(next);
        _step++;
        if (_onStep is null)
            return;
        using var state = State();
        var replaced = RequestStart.Replace(_sample, _onStep(state));
        if (!ReferenceEquals(replaced, _sample))
            _method.Forget();
        _sample = replaced;
    }

    public void Dispose()
    {
        _sample?.Dispose();
        _method.Dispose();
        if (_ownsNoise)
            _noise.Dispose();
        _inference?.Dispose();
    }
}
