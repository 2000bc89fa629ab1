using BenchmarkDotNet.Attributes;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Benchmarks;

/// <summary>
/// Measures the time and the managed allocations of single operators called from C#. benchmarks/python/operators.py measures the same
/// operators on the same tensors, under the same names; benchmarks/operators.sh prints both results in one table.
/// </summary>
[MemoryDiagnoser]
public class OperatorOverhead : IDisposable
{
    /// <summary>The number of parameters of the module that is optimised.</summary>
    public const int Parameters = 400;

    private const double LearningRate = 1e-3;
    private const double Beta1 = 0.9;
    private const double Beta2 = 0.999;
    private const double Epsilon = 1e-8;
    private const double WeightDecay = 0.01;

    private readonly Tensor _left = randn([8L, 8L]);
    private readonly Tensor _right = randn([8L, 8L]);
    private readonly Tensor _image = randn([1L, 8L, 8L, 8L]);
    private readonly Conv2d _convolution = nn.Conv2d(8, 8, 3, padding: 1);
    private readonly (Tensor Weight, Tensor Gradient, Tensor First, Tensor Second)[] _separate
        = [.. Enumerable.Range(0, Parameters).Select(_ => (randn([8L, 8L]), randn([8L, 8L]), zeros([8L, 8L]), zeros([8L, 8L])))];

    private readonly Tensor _apply = ones([], dtype: ScalarType.Float64);
    private readonly FlatParameters _flat;
    private readonly IOptimizerState _optimizer;

    public OperatorOverhead()
    {
        _flat = new FlatParameters(new ManyParameters());
        _flat.Gradients.copy_(randn_like(_flat.Gradients));
        _optimizer = new AdamW { Beta1 = Beta1, Beta2 = Beta2, Epsilon = Epsilon, WeightDecay = WeightDecay }.Start(_flat.Layout);
    }

    [Benchmark(Description = "add, 8x8")]
    public void Add()
    {
        using var sum = _left.add(_right);
    }

    [Benchmark(Description = "Conv2d forward, 1x8x8x8, 3x3")]
    public void Convolution()
    {
        using var result = _convolution.forward(_image);
    }

    [Benchmark(Description = "AdamW step, 400 parameters, flat")]
    public void FlatAdamW()
    {
        using var mode = no_grad();
        _optimizer.Step(_flat.Values, _flat.Gradients, LearningRate, _apply);
    }

    [Benchmark(Description = "AdamW step, 400 parameters, one by one")]
    public void SeparateAdamW()
    {
        using var mode = no_grad();
        foreach (var (weight, gradient, first, second) in _separate)
        {
            weight.mul_(1.0 - (LearningRate * WeightDecay));
            first.mul_(Beta1).add_(gradient, 1.0 - Beta1);
            second.mul_(Beta2).addcmul_(gradient, gradient, 1.0 - Beta2);
            using var divisor = second.sqrt();
            divisor.add_(Epsilon);
            weight.addcdiv_(first, divisor, -LearningRate);
        }
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _optimizer.Dispose();
        _flat.Dispose();
        _convolution.Dispose();
        GC.SuppressFinalize(this);
    }

    private sealed class ManyParameters : nn.Module
    {
        public ManyParameters()
            : base(nameof(ManyParameters))
        {
            for (var k = 0; k < Parameters; k++)
                register_parameter($"p{k}", new Parameter(randn([8L, 8L])));
        }
    }
}
