using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class OptimizerStepTests
{
    /// <summary>Gradients of a small quadratic with different curvatures, so that every element goes its own way.</summary>
    private static readonly double[] Start = [1.0, -2.0, 0.5, 3.0, -0.25, 0.0];

    [Theory]
    [InlineData(0.0, null)]
    [InlineData(0.1, null)]
    [InlineData(0.0, 0.5)]
    [InlineData(0.1, 0.5)]
    [InlineData(0.1, 1e6)]
    public void Steps_equal_the_published_algorithm_written_out(double weightDecay, double? clip)
    {
        var options = Settings(new AdamW { Beta1 = 0.8, Beta2 = 0.95, WeightDecay = weightDecay }, clip);
        using var run = new Run(options);
        var expected = new Reference(options);
        for (var step = 0; step < 30; step++)
        {
            var rate = 0.05 / (step + 1);
            run.Step(Gradient, rate);
            expected.Step(rate, emaDecay: 0.9);
        }

        Near(run.Weights, expected.Weights);
        Near(run.Average, expected.Average);
    }

    [Fact]
    public void The_average_has_its_closed_form()
    {
        // Weights that fall by 0.01 a step (a sign step, with both betas 0), averaged with a decay of 1/2.
        using var run = new Run(Settings(new AdamW { Beta1 = 0.0, Beta2 = 0.0 }, null) with { Ema = EmaDecay.Constant(0.5) });
        for (var step = 0; step < 20; step++)
            run.Step(weights => [.. weights.Select(_ => 7.0)], 0.01);

        // a_k = w_k + 0.01 (1 - 2^-k): the average lags one step behind in the end.
        for (var i = 0; i < Start.Length; i++)
        {
            run.Weights[i].Should().BeApproximately(Start[i] - 0.2, 1e-9);
            run.Average[i].Should().BeApproximately(Start[i] - 0.2 + (0.01 * (1 - Math.Pow(2, -20))), 1e-9);
        }
    }

    [Theory]
    [InlineData(double.NaN, 1.0)]
    [InlineData(double.PositiveInfinity, 1.0)]
    [InlineData(1.0, double.NaN)]
    [InlineData(1.0, double.NegativeInfinity)]
    [Trait(Category.Name, Category.Fault)]
    public void A_step_that_is_not_finite_might_as_well_not_have_been(double loss, double gradient)
    {
        var options = Settings(new AdamW { WeightDecay = 0.1 }, 1.0);
        using var clean = new Run(options);
        using var dirty = new Run(options);
        for (var step = 1; step < 10; step++)
        {
            for (var skipped = 0; skipped < step % 3; skipped++)
                dirty.Step(weights => [.. weights.Select((_, i) => i == 3 ? gradient : 1.0)], 0.01, loss);
            dirty.Engine.SkippedInARow.Should().Be(step % 3);

            clean.Step(Gradient, 0.01);
            dirty.Step(Gradient, 0.01);
            dirty.Engine.SkippedInARow.Should().Be(0);
        }

        dirty.State().Should().Equal(clean.State());
        dirty.Engine.Skipped.Should().Be(9);
        clean.Engine.Skipped.Should().Be(0);
        dirty.Engine.TakeMeans().Loss.Should().Be(clean.Engine.TakeMeans().Loss);
    }

    [Fact]
    public void A_gradient_too_large_for_its_norm_is_skipped_in_float32()
    {
        using var model = nn.Linear(4, 4);
        using var engine = new OptimizerStep(new FlatParameters(model), new TrainerOptions());
        var before = Bits.Of(engine.Parameters.Values);
        engine.Parameters.Gradients.fill_(1e30);
        using var loss = tensor(1.0f);

        engine.Apply(loss, 0.1, 1);

        engine.Skipped.Should().Be(1);
        Bits.Of(engine.Parameters.Values).Should().Be(before);
    }

    [Fact]
    public void The_mean_loss_covers_the_steps_since_it_was_last_taken()
    {
        using var run = new Run(Settings(new AdamW(), 1.0));
        run.Step(Gradient, 0.01, loss: 1.0);
        run.Step(Gradient, 0.01, loss: 2.0);
        run.Engine.TakeMeans().Loss.Should().Be(1.5);

        run.Step(Gradient, 0.01, loss: 5.0);
        run.Engine.Loss.Should().Be(5.0);
        run.Engine.TakeMeans().Loss.Should().Be(5.0);
        run.Engine.TakeMeans().Loss.Should().Be(double.NaN);
    }

    [Fact]
    public void Steps_leave_no_tensors_behind()
    {
        using var run = new Run(Settings(new AdamW(), 1.0));
        run.Step(Gradient, 0.01);

        LiveTensors.Change(() =>
        {
            for (var step = 0; step < 20; step++)
                run.Step(Gradient, 0.01);
        }).Should().Be(0);
        using var model = nn.Linear(3, 3);
        LiveTensors.Change(() => new OptimizerStep(new FlatParameters(model), new TrainerOptions()).Dispose()).Should().Be(0);
    }

    private static TrainerOptions Settings(AdamW optimizer, double? clip)
        => new() { Optimizer = optimizer, MaxGradNorm = clip, Ema = EmaDecay.Constant(0.9), ParameterGroups = [] };

    private static double[] Gradient(double[] weights) => [.. weights.Select((w, i) => (i + 1) * (w - 0.3))];

    private static void Near(double[] actual, double[] expected)
    {
        for (var i = 0; i < expected.Length; i++)
            actual[i].Should().BeApproximately(expected[i], 1e-12);
    }

    /// <summary>An engine over six weights in double precision.</summary>
    private sealed class Run : IDisposable
    {
        private readonly TorchSharp.Modules.Linear _model = nn.Linear(6, 1, hasBias: false, dtype: ScalarType.Float64);

        private long _step;

        public Run(TrainerOptions options)
        {
            using var gradientsOff = no_grad();
            using var start = tensor(Start);
            _model.weight.copy_(start);
            Engine = new OptimizerStep(new FlatParameters(_model), options);
        }

        public OptimizerStep Engine { get; }

        public double[] Weights => Read(Engine.Parameters.Values);

        public double[] Average => Read(Engine.Averages[0].Values);

        public void Step(Func<double[], double[]> gradient, double rate, double loss = 1.0)
        {
            using var scope = NewDisposeScope();
            Engine.Parameters.ZeroGradients();
            var slice = Engine.Parameters.Slices[0];
            FlatLayout.View(Engine.Parameters.Gradients, slice).copy_(tensor(gradient(Weights)));
            Engine.Apply(tensor(loss), rate, ++_step);
        }

        public double[] State() =>
        [
            .. Weights, .. Average,
            .. Engine.Optimizer.Tensors.Values.SelectMany(tensor => tensor.dim() == 0 ? [tensor.item<double>()] : Read(tensor)),
        ];

        public void Dispose()
        {
            Engine.Dispose();
            _model.Dispose();
        }

        private double[] Read(Tensor buffer)
        {
            using var view = FlatLayout.View(buffer, Engine.Parameters.Slices[0]);
            return view.data<double>().ToArray();
        }
    }

    /// <summary>Algorithm 2 of Loshchilov and Hutter in plain arithmetic, after clipping by the norm.</summary>
    private sealed class Reference(TrainerOptions options)
    {
        private readonly double[] _first = new double[Start.Length];
        private readonly double[] _second = new double[Start.Length];
        private readonly AdamW _adam = (AdamW)options.Optimizer;
        private int _step;

        public double[] Weights { get; } = [.. Start];

        public double[] Average { get; } = [.. Start];

        public void Step(double rate, double emaDecay)
        {
            _step++;
            var gradient = Gradient(Weights);
            var norm = Math.Sqrt(gradient.Sum(g => g * g));
            var scale = options.MaxGradNorm is { } clip ? Math.Min(1.0, clip / (norm + 1e-6)) : 1.0;
            for (var i = 0; i < Weights.Length; i++)
            {
                var g = gradient[i] * scale;
                _first[i] = (_adam.Beta1 * _first[i]) + ((1 - _adam.Beta1) * g);
                _second[i] = (_adam.Beta2 * _second[i]) + ((1 - _adam.Beta2) * g * g);
                var first = _first[i] / (1 - Math.Pow(_adam.Beta1, _step));
                var second = _second[i] / (1 - Math.Pow(_adam.Beta2, _step));
                Weights[i] -= (rate * first / (Math.Sqrt(second) + _adam.Epsilon)) + (rate * _adam.WeightDecay * Weights[i]);
                Average[i] = (emaDecay * Average[i]) + ((1 - emaDecay) * Weights[i]);
            }
        }
    }
}
