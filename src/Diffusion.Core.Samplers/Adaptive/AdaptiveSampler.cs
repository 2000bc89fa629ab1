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

/// <summary>A method with an estimate of its own error, during one run of an <see cref="AdaptiveSampler"/>.</summary>
internal abstract class AdaptiveMethod : IDisposable
{
    /// <summary>The time reached.</summary>
    public abstract double Time { get; }

    /// <summary>alpha and sigma at that time.</summary>
    public abstract NoiseLevel Level { get; }

    /// <summary>True once <see cref="AdaptiveSampler.EndTime"/> is reached.</summary>
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
    private readonly DenoiserEvaluator _evaluator;
    private readonly Func<SamplerState, Tensor?>? _onStep;
    private readonly INoiseSource _noise;
    private readonly bool _ownsNoise;
    private readonly IDisposable? _inference;
    private readonly AdaptiveMethod _method;
    private NoiseLevel _level;
    private Tensor? _sample;
    private int _step;

    public AdaptiveRun(AdaptiveSampler sampler, IDenoiser denoiser, SamplingRequest request)
    {
        (_sampler, _onStep) = (sampler, request.OnStep);
        _evaluator = new DenoiserEvaluator(sampler.Schedule, sampler.Options, denoiser, request.Condition);
        _ownsNoise = request.Noise is null;
        _noise = request.Noise ?? new PerSampleNoise(request.Seed, request.Shape[0], request.FirstSample);
        _method = sampler.Begin(_evaluator, _noise);
        _level = _method.Level;
        try
        {
            _inference = denoiser.BeginInference();
            _sample = RequestStart.Sample(request, _noise, _level, sampler.InitialScale, request.Device ?? denoiser.Device ?? CPU);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>True after the last step.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Where the run stands.</summary>
    public SamplerState State => new()
    {
        Step = _step,
        Steps = IsFinished ? _step : _step + 1,
        Level = _level,
        Sample = _sample!,
    };

    /// <summary>Takes one step, after as many tries as it needs.</summary>
    public void Advance(CancellationToken cancellationToken)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        Tensor? next = null;
        if (_method.IsAtEnd)
        {
            using var evaluation = _evaluator.Evaluate(_sample!, _method.Time, _level);
            next = evaluation.Data.clone();
            (_level, IsFinished) = (NoiseLevel.Clean, true);
        }

        while (next is null)
        {
            cancellationToken.ThrowIfCancellationRequested();
            next = _method.TryStep(_sample!);
            _level = _method.Level;
            IsFinished = _method.IsAtEnd && !_sampler.EndsClean;
        }

        _sample!.Dispose();
        _sample = next.DetachFromDisposeScope();
        _step++;
        if (_onStep is null)
            return;
        var replaced = RequestStart.Replace(_sample, _onStep(State));
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
