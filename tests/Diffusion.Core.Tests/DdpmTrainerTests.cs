using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using Microsoft.Extensions.Logging;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class DdpmTrainerTests
{
    [Fact]
    public void Training_lowers_the_loss_and_moves_the_average_after_the_weights()
    {
        using var model = new TinyDenoiser();
        var start = Weights(model);
        using var trainer = Runs.Trainer(model, Runs.Options with { Steps = 300, BatchSize = 64, LogEvery = 100 });
        var progress = new DirectProgress();

        trainer.Run(new Points(50), progress);

        progress.Reports[^1].Loss.Should().BeLessThan(0.8 * progress.Reports[0].Loss);
        var trained = Weights(model);
        trained.Should().NotEqual(start);
        using (trainer.Ema.BeginInference())
            Weights(model).Should().NotEqual(start).And.NotEqual(trained);
        Weights(model).Should().Equal(trained);
    }

    [Fact]
    public void Two_trainers_on_two_threads_give_what_they_give_alone()
    {
        string[] Run(long seed)
        {
            using var model = new TinyDenoiser(seed, dropout: 0.3);
            using var trainer = Runs.Trainer(model, Runs.Options with { Seed = seed, Steps = 100 });
            trainer.Run(new Points(50));
            return Weights(model);
        }

        var alone = new[] { Run(1), Run(2) };
        var together = new string[2][];
        Parallel.For(0, 2, i => together[i] = Run(i + 1));

        together[0].Should().Equal(alone[0]);
        together[1].Should().Equal(alone[1]);
    }

    [Fact]
    public void A_loop_of_ones_own_equals_Fit()
    {
        using var mine = new TinyDenoiser();
        using var theirs = new TinyDenoiser();
        using var loop = Runs.Trainer(mine);
        using var fit = Runs.Trainer(theirs);
        var points = new Points(13);
        fit.Run(points);

        foreach (var indices in points.Loaded.ToArray())
        {
            using var batch = points.Load(indices);
            loop.TrainStep(batch);
        }

        loop.Step.Should().Be(20);
        Weights(mine).Should().Equal(Weights(theirs));
        loop.LastLoss.Should().Be(fit.LastLoss);
    }

    [Fact]
    public void The_seed_decides_everything()
    {
        string[] Run(long seed)
        {
            using var model = new TinyDenoiser();
            using var trainer = Runs.Trainer(model, Runs.Options with { Seed = seed });
            trainer.Run(new Points(50));
            return Weights(model);
        }

        Run(5).Should().Equal(Run(5)).And.NotEqual(Run(6));
    }

    [Fact]
    public void Every_step_draws_times_and_noise_of_its_own()
    {
        var times = new HashSet<string>();
        var noise = new HashSet<string>();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, loss: new Watching((t, eps) =>
        {
            t.dtype.Should().Be(ScalarType.Int64);
            t.data<long>().ToArray().Should().OnlyContain(value => value >= 0 && value < 1000);
            times.Add(Bits.Of(t));
            noise.Add(Bits.Of(eps));
        }));

        trainer.Run(new Points(50));

        times.Should().HaveCount(20);
        noise.Should().HaveCount(20);
    }

    [Fact]
    public void Reports_say_where_the_run_is()
    {
        using var model = new TinyDenoiser();
        var logger = new ListLogger();
        using var trainer = Runs.Trainer(model, Runs.Options with { Steps = 12 }, logger: logger);
        var progress = new DirectProgress();

        trainer.Run(new Points(32), progress);

        progress.Reports.Select(report => report.Step).Should().Equal(5, 10, 12);
        progress.Reports.Select(report => report.Epoch).Should().Equal(1.25, 2.5, 3.0);
        progress.Reports.Select(report => report.LearningRate).Should().Equal(0.01, 0.01, 0.01);
        progress.Reports.Should().OnlyContain(report =>
            report.TotalSteps == 12 && report.Loss > 0 && report.GradientNorm > 0 && report.SamplesPerSecond > 0 && report.SkippedSteps == 0);
        logger.Entries.Should().HaveCount(5, "of which one says that nothing is kept").And.OnlyContain(entry => entry.Level == LogLevel.Information);
    }

    [Fact]
    public void The_learning_rate_is_a_function_of_the_step_alone()
    {
        var asked = new List<long>();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { Steps = 4, LogEvery = 100, LearningRateSchedule = Recorded });
        double Recorded(long step)
        {
            asked.Add(step);
            return 1e-3;
        }

        trainer.Run(new Points(50));

        asked.Should().StartWith([0L, 1L, 2L, 3L]);
    }

    [Fact]
    public void Clipping_bounds_the_gradient_but_not_the_report_of_it()
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with { MaxGradNorm = 1e-3 });
        using var batch = Runs.Batch(1, 2, 3);

        trainer.TrainStep(batch);

        trainer.LastGradientNorm.Should().BeGreaterThan(0.01);
    }

    [Fact]
    public void A_module_in_evaluation_mode_is_put_to_training()
    {
        using var model = new TinyDenoiser();
        model.eval();
        var modes = new List<bool>();
        model.Before = () => modes.Add(model.training);
        using var trainer = Runs.Trainer(model);
        using var batch = Runs.Batch(1, 2, 3);

        trainer.TrainStep(batch);

        modes.Should().Equal(true);
    }

    [Fact]
    public void A_float64_module_trains_on_float32_data_and_continuous_schedules_give_their_own_times()
    {
        using var model = new TinyDenoiser(dtype: ScalarType.Float64);
        var seen = new List<double>();
        using var trainer = new DdpmTrainer(
            model,
            new Straight(),
            new Watching((t, _) => seen.AddRange(t.data<double>().ToArray())),
            Runs.Options);

        trainer.Run(new Points(50));

        seen.Should().HaveCount(160).And.OnlyContain(t => t >= 0.1 && t <= 0.9);
        trainer.LastLoss.Should().BePositive();
    }

    /// <summary>The meta device stands in for an accelerator, up to the loss: nothing can be read back from it.</summary>
    [Theory]
    [InlineData(true, DeviceType.CPU)]
    [InlineData(false, DeviceType.META)]
    public void The_loss_is_given_continuous_times_on_the_CPU_and_indices_on_the_device(bool isContinuous, DeviceType expected)
    {
        using var module = nn.Linear(2, 2, hasBias: false);
        var model = new ModuleDenoiser(module, (x, _, _) => module.call(x));
        INoiseSchedule schedule = isContinuous ? new Straight() : DiscreteSchedule.Linear();
        var loss = new Watching((t, noise) => throw new OperationCanceledException($"{t.device_type}, {noise.device_type}"));
        using var trainer = new DdpmTrainer(model, schedule, loss, Runs.Options with { Device = new Device(DeviceType.META) });
        using var batch = Runs.Batch(1, 2, 3);

        var step = () => trainer.TrainStep(batch);

        step.Should().Throw<OperationCanceledException>().WithMessage($"{expected}, {DeviceType.META}");
    }

    public static TheoryData<string, bool, int?, double?> Steps
    {
        get
        {
            var data = new TheoryData<string, bool, int?, double?>();
            foreach (var (name, _) in RunChoices.Optimizers)
                data.Add(name, false, null, 1.0);
            data.Add("AdamW", true, null, 1.0);
            data.Add("AdamW", true, 2, null);
            data.Add("Lion", false, 2, null);
            return data;
        }
    }

    /// <summary>Nothing can be read from the meta device: a step that waited for a number of it would fail.</summary>
    [Theory]
    [MemberData(nameof(Steps))]
    public void A_step_reads_nothing_back_from_the_device(string optimizer, bool scales, int? part, double? clipNorm)
    {
        using var model = new TinyDenoiser(dropout: 0.2);
        var options = RunChoices.Optimizers.Single(choice => choice.Name == optimizer).Set(Runs.Options) with
        {
            Device = new Device(DeviceType.META),
            MicroBatchSize = part,
            MaxGradNorm = clipNorm,
            Precision = scales ? Precision.Float16() : Precision.BFloat16,
            ExtraEmas = new Dictionary<string, EmaDecay> { ["short"] = EmaDecay.Constant(0.9) },
        };
        // The tables of a discrete schedule are out of reach: libtorch's C++ cannot look anything up on the meta device.
        using var trainer = new DdpmTrainer(model, new Straight(), new Untabled(), options);
        using var batch = Runs.Batch(1, 2, 3, 4, 5);

        for (var step = 0; step < 3; step++)
            trainer.TrainStep(batch);

        trainer.Step.Should().Be(3);
        FluentActions.Invoking(() => trainer.LastLoss).Should().Throw<Exception>("that reads");
        FluentActions.Invoking(() => trainer.SkippedSteps).Should().Throw<Exception>("that reads");
    }

    [Fact]
    public void The_module_outlives_its_trainer()
    {
        using var model = new TinyDenoiser();
        string[] trained;
        using (var first = Runs.Trainer(model))
        {
            first.Run(new Points(50));
            trained = Weights(model);
        }

        Weights(model).Should().Equal(trained);
        using var second = Runs.Trainer(model);
        second.Run(new Points(50));
        Weights(model).Should().NotEqual(trained);
    }

    [Fact]
    public void A_trainer_made_in_a_dispose_scope_outlives_it()
    {
        using var model = new TinyDenoiser();
        DdpmTrainer trainer;
        using (NewDisposeScope())
            trainer = Runs.Trainer(model);

        trainer.Run(new Points(50));
        trainer.Dispose();
    }

    [Fact]
    public void Live_tensors_are_constant_over_a_thousand_steps()
    {
        using var model = new TinyDenoiser();
        var points = new Points(50);
        LiveTensors.Change(() =>
        {
            using var trainer = Runs.Trainer(model, Runs.Options with { Steps = 1000, BatchSize = 4 });
            var counts = new List<long>();
            trainer.Run(points, new DirectProgress(_ => counts.Add(Tensor.TotalCount)));
            counts.Should().HaveCount(200).And.OnlyContain(count => count == counts[0]);
        }).Should().Be(0);
    }

    private static string[] Weights(TinyDenoiser model) => [.. model.state_dict().Values.Select(Bits.Of)];

    private sealed class Watching(Action<Tensor, Tensor> seen) : IDiffusionLoss
    {
        private readonly SimpleLoss _inner = new();

        public LossTerms Evaluate(LossContext context)
        {
            seen(context.T, context.Noise);
            return _inner.Evaluate(context);
        }
    }

    /// <summary>A loss that asks nothing of a schedule.</summary>
    private sealed class Untabled : IDiffusionLoss
    {
        public LossTerms Evaluate(LossContext context)
        {
            using var scope = NewDisposeScope();
            var (model, x0, t, noise, condition) = context;
            var error = model.Network.Predict(x0.add(noise), t.to(x0.device), condition).sub(noise).square().mean([1L]);
            return new LossTerms(error.MoveToOuterDisposeScope()).Add("mse", error.detach().MoveToOuterDisposeScope());
        }
    }

    private sealed class Straight : INoiseSchedule
    {
        public double MinTime => 0.1;

        public double MaxTime => 0.9;

        public NoiseLevel LevelAt(double t) => new(1 - t, t);
    }
}
