using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests.Support;

/// <summary>An engine over a matrix, a kernel and two biases that roll down a quadratic bowl, each element at a pace of its own.</summary>
internal sealed class OptimizerRun : IDisposable
{
    private readonly nn.Module _model;
    private readonly string[] _names;
    private long _step;

    public OptimizerRun(
        IOptimizer optimizer,
        IReadOnlyList<ParameterGroup>? groups = null,
        ScalarType dtype = ScalarType.Float64,
        string? frozen = null,
        bool channelsLast = false)
    {
        _model = nn.Sequential(("first", nn.Linear(3, 2)), ("second", nn.Conv2d(2, 3, 2L)));
        _model.to(dtype);
        _names = [.. _model.named_parameters().Select(p => p.name)];
        using var gradientsOff = no_grad();
        var first = 0;
        foreach (var (name, parameter) in _model.named_parameters())
        {
            using var scope = NewDisposeScope();
            var values = Enumerable.Range(first, (int)parameter.numel()).Select(i => Math.Sin(i)).ToArray();
            parameter.copy_(tensor(values).reshape(parameter.shape));
            parameter.requires_grad = name != frozen;
            first += values.Length;
        }

        var options = new TrainerOptions { Optimizer = optimizer, MaxGradNorm = null, Ema = EmaDecay.Constant(0.9) };
        Engine = new OptimizerStep(new FlatParameters(_model, groups ?? [], null, channelsLast), options);
    }

    public OptimizerStep Engine { get; }

    /// <summary>Name, shape and values of each parameter, in the order of the module.</summary>
    public IReadOnlyList<(string Name, long[] Shape, double[] Values)> Parameters
    {
        get
        {
            using var scope = NewDisposeScope();
            return [.. _model.named_parameters().Select(p => (p.name, p.parameter.shape, Read(p.parameter)))];
        }
    }

    public double[] Weights => [.. Parameters.SelectMany(p => p.Values)];

    public static double[] Gradient(double[] weights, int first) => [.. weights.Select((w, i) => (((first + i) % 5) + 1) * (w - 0.3))];

    /// <summary>One step, at a rate that falls.</summary>
    public void Step(double? gradient = null, double loss = 1.0)
    {
        using var scope = NewDisposeScope();
        Engine.Parameters.ZeroGradients();
        var parameters = Parameters;
        foreach (var slice in Engine.Parameters.Slices)
        {
            var k = Array.IndexOf(_names, slice.Name);
            var first = parameters.Take(k).Sum(p => p.Values.Length);
            var values = Gradient(parameters[k].Values, first);
            if (gradient is { } special)
                values[0] = special;
            FlatLayout.View(Engine.Parameters.Gradients, slice).copy_(tensor(values).reshape([.. slice.Shape]));
        }

        var taken = _step - Engine.Skipped;
        Engine.Apply(tensor(loss), 0.05 / (taken + 1), ++_step);
    }

    /// <summary>The weights, the average and all that the optimizer remembers, bit for bit.</summary>
    public IReadOnlyList<string> State() =>
    [
        Bits.Of(Engine.Parameters.Values),
        Bits.Of(Engine.Averages[0].Values),
        .. Engine.Optimizer.Tensors.OrderBy(entry => entry.Key, StringComparer.Ordinal).Select(entry => Bits.Of(entry.Value)),
    ];

    public void Dispose()
    {
        Engine.Dispose();
        _model.Dispose();
    }

    private static double[] Read(Tensor values) => values.detach().to(ScalarType.Float64).contiguous().data<double>().ToArray();
}
