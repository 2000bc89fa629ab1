using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>The base class of samplers that choose the size of each step from an estimate of its error.</summary>
/// <remarks>
/// The number of steps is not known in advance: until sampling ends, <see cref="SamplerState.Steps"/> is one more than the number of
/// completed steps. All samples of a batch take the same steps, so the result for a sample varies with the other samples of its batch, but
/// only within the tolerance. Each attempted step waits for the device once, to read its error.
/// </remarks>
public abstract class AdaptiveSampler : ISampler
{
    private protected AdaptiveSampler(StepSizeControl control, SamplerOptions? options)
    {
        (Control, Options) = (control, options ?? new SamplerOptions());
        if (Options.InitialScale is { } scale)
            Guard.PositiveFactor(scale, "options.InitialScale");
    }

    /// <summary>The tolerances and coefficients that determine the step sizes.</summary>
    public StepSizeControl Control { get; }

    /// <summary>The options for thresholding and the initial noise.</summary>
    public SamplerOptions Options { get; }

    /// <summary>The time at which sampling starts. The default is <see langword="null"/>: the last time of the schedule.</summary>
    /// <exception cref="ArgumentException">The time is not greater than <see cref="EndTime"/>.</exception>
    public double? StartTime
    {
        get;
        init => field = InOrder(value, EndTime) ? value : throw OutOfOrder(value, EndTime, nameof(StartTime));
    }

    /// <summary>The time at which the adaptive steps end. The default is <see langword="null"/>: the first time of the schedule.</summary>
    /// <exception cref="ArgumentException">The time is not less than <see cref="StartTime"/>.</exception>
    public double? EndTime
    {
        get;
        init => field = InOrder(StartTime, value) ? value : throw OutOfOrder(StartTime, value, nameof(EndTime));
    }

    /// <summary>
    /// Whether a last step replaces the sample at <see cref="EndTime"/> with the x_0 predicted there. If <see langword="false"/>, the
    /// remaining noise is kept. The default is <see langword="true"/>.
    /// </summary>
    public bool EndsClean { get; init; } = true;

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
            throw OutOfOrder(start, end, nameof(model));
        RequestStart.RequireDetermined(model, schedule, start, schedule.LevelAt(start));
        RequestStart.RequireDetermined(model, schedule, end, schedule.LevelAt(end));
        var span = new AdaptiveSpan(schedule, start, end);
        Validate(span);
        return Walk(span, model, request, cancellationToken);
    }

    /// <summary>Throws if the method cannot integrate over the span.</summary>
    internal virtual void Validate(AdaptiveSpan span)
    {
    }

    /// <summary>Creates the method for one run. The caller must dispose it.</summary>
    internal abstract AdaptiveMethod Begin(AdaptiveSpan span, IEvaluator evaluator, INoiseSource noise);

    private static bool InOrder(double? start, double? end) => !(end >= start);

    private static ArgumentException OutOfOrder(double? start, double? end, string name)
        => new($"The end time of sampling must be less than the start time, {start}, got {end}.", name);

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

/// <summary>The part of a schedule that an <see cref="AdaptiveSampler"/> integrates over.</summary>
/// <param name="Schedule">The source of alpha and sigma.</param>
/// <param name="StartTime">The time at which sampling starts.</param>
/// <param name="EndTime">The time at which the adaptive steps end.</param>
internal sealed record AdaptiveSpan(INoiseSchedule Schedule, double StartTime, double EndTime);

/// <summary>A method with an error estimate, and its state during one run of an <see cref="AdaptiveSampler"/>.</summary>
internal abstract class AdaptiveMethod : IDisposable
{
    /// <summary>The current time.</summary>
    public abstract double Time { get; }

    /// <summary>alpha and sigma at the current time.</summary>
    public abstract NoiseLevel Level { get; }

    /// <summary>Whether the current time is <see cref="AdaptiveSpan.EndTime"/>.</summary>
    public abstract bool IsAtEnd { get; }

    /// <summary>Attempts one step.</summary>
    /// <param name="x">[B, ...] the sample at <see cref="Level"/>. It is not modified.</param>
    /// <returns>
    /// The sample at the new level, or <see langword="null"/> if the step is rejected because its error is too large; the time and the
    /// level then remain unchanged. The caller must dispose the tensor.
    /// </returns>
    public abstract Tensor? TryStep(Tensor x);

    /// <summary>Frees the tensors stored from earlier steps, which are not valid after the sample has been replaced.</summary>
    public abstract void Forget();

    public void Dispose() => Forget();

    /// <summary>
    /// Computes the root mean square of <c>difference / tolerance</c>. This waits for the device, unlike all other parts of a step.
    /// </summary>
    protected static double Error(StepSizeControl control, Tensor difference, Tensor first, Tensor second)
    {
        using var scope = NewDisposeScope();
        var tolerance = first.abs().maximum(second.abs()).Mul_(control.RelativeTolerance).ClampMin(control.AbsoluteTolerance);
        return difference.div(tolerance).to(ScalarType.Float64).norm().cpu().item<double>() / Math.Sqrt(difference.numel());
    }
}

/// <summary>One run of an <see cref="AdaptiveSampler"/>: the current sample, and the method that advances it.</summary>
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
        model = RequestStart.InTypeOf(request, model);
        _evaluator = new ModelEvaluator(model, request.Condition, sampler.Options.Threshold) { RederiveNoise = sampler.Options.RederiveNoise };
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

    /// <summary>Whether the last step has been taken.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Returns the current state. The caller must dispose it.</summary>
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

    /// <summary>Takes one step, attempting it until it is accepted.</summary>
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
