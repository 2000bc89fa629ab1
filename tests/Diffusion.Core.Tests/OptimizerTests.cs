using System.Text.Json;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class OptimizerTests
{
    private static readonly ParameterGroup[] BiasesApart =
        [new ParameterGroup((_, shape) => shape.Count < 2) { LearningRateScale = 0.5, WeightDecayScale = 0.0 }];

    private static readonly Dictionary<string, IOptimizer> PyTorch = new()
    {
        ["adam"] = new Adam { Beta1 = 0.8, Beta2 = 0.95, Epsilon = 1e-6 },
        ["adam-decay"] = new Adam { WeightDecay = 0.1 },
        ["adamw"] = new AdamW { Beta1 = 0.8, Beta2 = 0.95, Epsilon = 1e-6 },
        ["adamw-decay"] = new AdamW { WeightDecay = 0.1 },
        ["sgd"] = new Sgd { Momentum = 0.0 },
        ["sgd-momentum"] = new Sgd { WeightDecay = 0.1 },
        ["sgd-dampening"] = new Sgd { Momentum = 0.8, Dampening = 0.3 },
        ["sgd-nesterov"] = new Sgd { Nesterov = true, WeightDecay = 0.1 },
    };

    public static TheoryData<IOptimizer> All => new(Choices.Optimizers);

    public static TheoryData<string> Recorded => [.. PyTorch.Keys];

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    public void Thirty_steps_equal_the_published_algorithm_written_out(IOptimizer optimizer)
    {
        using var run = new OptimizerRun(optimizer);
        var expected = Follow(optimizer, run, (_, _) => (1.0, 1.0));

        Steps(run, 30);

        Near(run.Weights, expected, 1e-12);
    }

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    public void Three_groups_and_a_frozen_parameter_go_their_own_ways(IOptimizer optimizer)
    {
        ParameterGroup[] groups =
        [
            new((name, _) => name == "second.weight") { LearningRateScale = 0.25 },
            new((_, shape) => shape.Count < 2) { LearningRateScale = 2.0, WeightDecayScale = 0.5 },
        ];
        using var run = new OptimizerRun(optimizer, groups, frozen: "second.bias");
        var expected = Follow(optimizer, run, (name, shape) => name switch
        {
            "second.bias" => (0.0, 0.0),
            "second.weight" => (0.25, 1.0),
            _ => shape.Count < 2 ? (2.0, 0.5) : (1.0, 1.0),
        });

        Steps(run, 30);

        Near(run.Weights, expected, 1e-12);
    }

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    public void Float32_follows_to_its_rounding(IOptimizer optimizer)
    {
        // Kept away from the bottom of the bowl, where Lion turns round at the last bit.
        using var run = new OptimizerRun(optimizer, dtype: ScalarType.Float32);
        var expected = Follow(optimizer, run, (_, _) => (1.0, 1.0), steps: 5);

        Steps(run, 5);

        Near(run.Weights, expected, 2e-6);
    }

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    [Trait(Category.Name, Category.Fault)]
    public void Skipped_steps_leave_everything_bit_for_bit(IOptimizer optimizer)
    {
        using var clean = new OptimizerRun(optimizer, dtype: ScalarType.Float32);
        using var dirty = new OptimizerRun(optimizer, dtype: ScalarType.Float32);
        for (var step = 0; step < 6; step++)
        {
            dirty.Step(gradient: double.NaN);
            dirty.Step(gradient: double.NegativeInfinity);
            dirty.Step(loss: double.NaN);
            dirty.State().Should().Equal(clean.State(), "before step {0}", step);

            clean.Step();
            dirty.Step();
        }

        dirty.State().Should().Equal(clean.State());
        dirty.Engine.Skipped.Should().Be(18);
    }

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    public void Gaps_stay_zero_and_channels_last_changes_nothing(IOptimizer optimizer)
    {
        using var plain = new OptimizerRun(optimizer);
        using var run = new OptimizerRun(optimizer, channelsLast: true);
        Steps(plain, 10);
        Steps(run, 10);

        Near(run.Weights, plain.Weights, 1e-13);
        var buffer = run.Engine.Parameters.Values.data<double>().ToArray();
        foreach (var slice in run.Engine.Parameters.Slices)
            Array.Clear(buffer, (int)slice.Offset, (int)slice.Count);
        buffer.Should().OnlyContain(value => value == 0.0);
    }

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    public void State_put_into_a_new_run_goes_on_as_the_old_one(IOptimizer optimizer)
    {
        using var whole = new OptimizerRun(optimizer);
        using var next = new OptimizerRun(optimizer);
        Steps(whole, 7);
        Steps(next, 2);
        Copy(whole.Engine.Parameters.Values, next.Engine.Parameters.Values);
        Copy(whole.Engine.Averages[0].Values, next.Engine.Averages[0].Values);
        foreach (var (name, state) in whole.Engine.Optimizer.Tensors)
            Copy(state, next.Engine.Optimizer.Tensors[name]);

        for (var step = 0; step < 5; step++)
        {
            foreach (var run in (OptimizerRun[])[whole, next])
            {
                using var loss = tensor(1.0);
                run.Engine.Parameters.ZeroGradients();
                using var off = run.Engine.Parameters.Values.sub(0.3);
                Copy(off, run.Engine.Parameters.Gradients);
                run.Engine.Apply(loss, 0.01, step + 1);
            }
        }

        next.State().Should().Equal(whole.State());

        static void Copy(Tensor from, Tensor to)
        {
            using var gradientsOff = no_grad();
            to.copy_(from);
        }
    }

    [Theory]
    [MemberData(nameof(All), DisableDiscoveryEnumeration = true)]
    public void Steps_leave_no_tensors_behind(IOptimizer optimizer)
    {
        using var run = new OptimizerRun(optimizer);
        run.Step();

        LiveTensors.Change(() => Steps(run, 5)).Should().Be(0);
        LiveTensors.Change(() => optimizer.Start(run.Engine.Parameters.Layout).Dispose()).Should().Be(0);
    }

    [Theory]
    [MemberData(nameof(Recorded))]
    [Trait(Category.Name, Category.Golden)]
    public void Thirty_steps_equal_those_of_PyTorch(string name)
    {
        var path = Path.Combine(TestData.Golden, "optimizers/recorded-steps.json");
        var expected = JsonSerializer.Deserialize<Dictionary<string, double[]>>(File.ReadAllText(path))!;
        using var run = new OptimizerRun(PyTorch[name], BiasesApart);

        Steps(run, 30);

        Near(run.Weights, expected[name], 1e-12);
    }

    [Fact]
    public void Adafactor_needs_almost_no_memory()
    {
        // Bytes of state per parameter, in float32.
        BytesPerWeight(new AdamW()).Should().BeApproximately(8.0, 0.1);
        BytesPerWeight(new Lion()).Should().BeApproximately(4.0, 0.1);
        BytesPerWeight(new Adafactor()).Should().BeLessThan(0.07);
    }

    [Theory]
    [Trait(Category.Name, Category.Fault)]
    [MemberData(nameof(Bad), DisableDiscoveryEnumeration = true)]
    public void Settings_out_of_range_are_refused_by_name(string name, IOptimizer optimizer)
        => FluentActions.Invoking(() => new OptimizerRun(optimizer)).Should().Throw<ArgumentException>().WithParameterName(name);

    public static TheoryData<string, IOptimizer> Bad => new()
    {
        { "Beta1", new Adam { Beta1 = -0.1 } },
        { "Epsilon", new Adam { Epsilon = 0.0 } },
        { "Momentum", new Sgd { Momentum = 1.0 } },
        { "Momentum", new Sgd { Momentum = 0.0, Nesterov = true } },
        { "Dampening", new Sgd { Dampening = 0.1, Nesterov = true } },
        { "WeightDecay", new Sgd { WeightDecay = -1.0 } },
        { "Beta2", new Lion { Beta2 = 1.0 } },
        { "WeightDecay", new Lion { WeightDecay = double.NaN } },
        { "DecayPower", new Adafactor { DecayPower = 0.0 } },
        { "Beta1", new Adafactor { Beta1 = 1.0 } },
        { "ClipThreshold", new Adafactor { ClipThreshold = 0.0 } },
        { "Epsilon1", new Adafactor { Epsilon1 = 0.0 } },
        { "Epsilon2", new Adafactor { Epsilon2 = -1.0 } },
        { "WeightDecay", new Adafactor { WeightDecay = -1.0 } },
    };

    private static double BytesPerWeight(IOptimizer optimizer)
    {
        using var model = nn.Linear(512, 512);
        using var engine = new OptimizerStep(new FlatParameters(model), new TrainerOptions { Optimizer = optimizer });
        return engine.Optimizer.Tensors.Values.Sum(t => (double)t.numel() * t.element_size()) / model.parameters().Sum(p => p.numel());
    }

    private static void Steps(OptimizerRun run, int count)
    {
        for (var step = 0; step < count; step++)
            run.Step();
    }

    /// <summary>The weights after some steps of the reference, from those at hand; scales of rate and decay by name and shape.</summary>
    private static double[] Follow(
        IOptimizer optimizer, OptimizerRun run, Func<string, IReadOnlyList<long>, (double Rate, double Decay)> scales, int steps = 30)
    {
        var first = 0;
        var all = new List<double>();
        foreach (var (name, shape, values) in run.Parameters)
        {
            var rule = OptimizerReference.For(optimizer, shape);
            var (rate, decay) = scales(name, shape);
            for (var step = 0; step < steps && rate != 0.0; step++)
                rule(values, OptimizerRun.Gradient(values, first), rate * 0.05 / (step + 1), decay);
            all.AddRange(values);
            first += values.Length;
        }

        return [.. all];
    }

    private static void Near(double[] actual, double[] expected, double tolerance)
    {
        actual.Should().HaveSameCount(expected);
        for (var i = 0; i < expected.Length; i++)
            actual[i].Should().BeApproximately(expected[i], tolerance, "element {0}", i);
    }
}
