using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Tests.Support;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>
/// Whole training steps in float16. The network consists of element-wise products and sums only, so that a value that overflows does so
/// in the backward pass.
/// </summary>
public class Float16TrainingTests
{
    /// <summary>A rate of zero keeps the weights: every step has the gradient that float32 has, or none.</summary>
    [Fact]
    public void Steps_whose_gradients_overflow_are_skipped_until_the_factor_fits()
    {
        var still = Runs.Options with { LearningRateSchedule = _ => 0.0, Optimizer = new Sgd { Momentum = 0.0 } };
        using var plain = new Elementwise();
        using var half = new Elementwise();
        using var first = Trainer(plain, still);
        using var second = Trainer(half, still with { Precision = Precision.Float16(new GradScaler { Initial = 1 << 24 }) });
        half.Types.Should().Equal(ScalarType.Float16, ScalarType.Float16);
        var before = Bits.Of(half.Scale);
        var norms = new List<double>();
        for (var step = 0; step < 20; step++)
        {
            using var batch = Runs.Batch(1, 2, 3, 4, 5, 6, 7, 8);
            first.TrainStep(batch);
            second.TrainStep(batch);
            norms.Add(second.LastGradientNorm);
            if (double.IsFinite(norms[^1]))
                norms[^1].Should().BeApproximately(first.LastGradientNorm, 2e-3 * first.LastGradientNorm, "step {0}", step);
        }

        norms.Take(3).Should().OnlyContain(norm => !double.IsFinite(norm), "the factor is far too large");
        norms.Count(double.IsFinite).Should().BeGreaterThan(8, "it comes down");
        second.SkippedSteps.Should().Be(norms.Count(norm => !double.IsFinite(norm)));
        first.SkippedSteps.Should().Be(0);
        Bits.Of(half.Scale).Should().Be(before);
    }

    [Theory]
    [InlineData(1.0, false)]
    [InlineData(65_536.0, true)]
    public void Gradients_too_small_for_float16_survive_by_the_factor(double factor, bool survive)
    {
        using var plain = new Elementwise();
        using var half = new Elementwise();
        using var first = Trainer(plain, Runs.Options, 1e-7);
        using var second = Trainer(half, Runs.Options with { Precision = Precision.Float16(new GradScaler { Initial = factor }) }, 1e-7);
        using var batch = Runs.Batch(1, 2, 3, 4, 5, 6, 7, 8);

        first.TrainStep(batch);
        second.TrainStep(batch);

        first.LastGradientNorm.Should().BePositive();
        if (survive)
            second.LastGradientNorm.Should().BeApproximately(first.LastGradientNorm, 2e-3 * first.LastGradientNorm);
        else
            second.LastGradientNorm.Should().Be(0.0);
    }

    [Fact]
    public void A_run_in_float16_ends_where_one_in_float32_does()
    {
        var options = Runs.Options with { Steps = 120, BatchSize = 32, LogEvery = 40, LearningRate = 3e-2 };
        double[] Losses(Precision precision)
        {
            using var model = new Elementwise();
            using var trainer = Trainer(model, options with { Precision = precision });
            var losses = new List<double>();
            trainer.Run(new Points(50), new DirectProgress(report => losses.Add(report.Loss)));
            trainer.SkippedSteps.Should().Be(0);
            return [.. losses];
        }

        var full = Losses(Precision.Full);
        var half = Losses(Precision.Float16(new GradScaler { Initial = 1024.0, GrowthInterval = 100_000 }));

        full[^1].Should().BeLessThan(0.8 * full[0]);
        for (var i = 0; i < full.Length; i++)
            half[i].Should().BeApproximately(full[i], 2e-3 * full[i], "report {0}", i);
        half.Should().NotEqual(full);
    }

    private static DdpmTrainer Trainer(Elementwise model, TrainerOptions options, double factor = 1.0)
        => new(model, Runs.Schedule, new Shrunk(factor), options);

    /// <summary>x times a number, plus a number, in each dimension.</summary>
    private sealed class Elementwise : nn.Module<Tensor, Tensor>, ITrainableDenoiser
    {
        private readonly Parameter _scale = new(tensor(new[] { -0.5f, 2f }));
        private readonly Parameter _shift = new(tensor(new[] { 1f, -1f }));

        public Elementwise()
            : base(nameof(Elementwise)) => RegisterComponents();

        public nn.Module Module => this;

        public Tensor Scale => get_parameter("_scale")!;

        public IEnumerable<ScalarType> Types => parameters().Select(parameter => parameter.dtype);

        public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => call(xt);

        public override Tensor forward(Tensor input)
        {
            using var product = input.mul(get_parameter("_scale")!);
            return product.add(get_parameter("_shift")!);
        }
    }

    /// <summary>The simple loss, times a number.</summary>
    private sealed class Shrunk(double factor) : IDiffusionLoss
    {
        private readonly SimpleLoss _inner = new();

        public LossTerms Evaluate(LossContext context)
        {
            using var terms = _inner.Evaluate(context);
            return new LossTerms(terms.Loss.mul(factor));
        }
    }
}
