using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

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
