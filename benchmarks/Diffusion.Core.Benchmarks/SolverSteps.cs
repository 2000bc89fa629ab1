using BenchmarkDotNet.Attributes;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Benchmarks;

/// <summary>
/// Measures the time of a sampler step without the network: runs of 50 steps on [4, 3, 64, 64] in float32, with a network that returns a
/// precomputed output. benchmarks/python/scheduler_steps.py measures the schedulers of diffusers under the same names;
/// benchmarks/solver-steps.sh prints both results in one table. A Heun step calls the network twice.
/// </summary>
public class SolverSteps : IDisposable
{
    /// <summary>The number of steps of a run.</summary>
    public const int Steps = 50;

    private static readonly SamplerOptions _options = new() { Threshold = Thresholding.None };

    private readonly Tensor _sample = randn([4L, 3L, 64L, 64L]);
    private readonly Tensor _answer = randn([4L, 3L, 64L, 64L]);
    private readonly DiffusionModel _model;
    private readonly DiffusionSampler _ddim = new(new DdimSolver(), Steps, options: _options);
    private readonly DiffusionSampler _dpm = new(new DpmMultistepSolver(), Steps, options: _options);
    private readonly DiffusionSampler _uniPc = new(new UniPcSolver(2), Steps, options: _options);
    private readonly DiffusionSampler _heun = new(new HeunSolver(), Steps, options: _options);

    public SolverSteps() => _model = new DiffusionModel(new DelegateDenoiser((_, _) => _answer.alias()), DiscreteSchedule.Linear());

    [Benchmark(Description = "DDIM", OperationsPerInvoke = Steps)]
    public void Ddim() => Walk(_ddim);

    [Benchmark(Description = "DPM-Solver++(2M)", OperationsPerInvoke = Steps)]
    public void DpmSolver() => Walk(_dpm);

    [Benchmark(Description = "UniPC-2", OperationsPerInvoke = Steps)]
    public void UniPc() => Walk(_uniPc);

    [Benchmark(Description = "Heun", OperationsPerInvoke = Steps)]
    public void Heun() => Walk(_heun);

    [GlobalCleanup]
    public void Dispose()
    {
        _model.Dispose();
        _sample.Dispose();
        _answer.Dispose();
        GC.SuppressFinalize(this);
    }

    private void Walk(DiffusionSampler sampler)
        => sampler.Sample(_model, new SamplingRequest { Shape = [4, 3, 64, 64], InitialSample = _sample }).Dispose();
}
