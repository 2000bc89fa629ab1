using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Tests.Support;
using TorchSharp;

namespace Diffusion.Core.Tests;

/// <summary>Options that nobody has touched.</summary>
public class DefaultOptionsTests
{
    [Fact]
    public void They_average_warm_up_and_clip()
    {
        var options = new TrainerOptions();

        options.Ema.At(1_000_000).Should().Be(0.9999);
        options.Ema.At(1).Should().BeApproximately(2.0 / 11.0, 1e-15);
        (options.LearningRate, options.WarmupSteps, options.MaxGradNorm).Should().Be((2e-4, 500, 1.0));
        options.EffectiveLearningRate(0).Should().BeApproximately(4e-7, 1e-20);
        options.ParameterGroups.Single().WeightDecayScale.Should().Be(0.0);
    }

    [Fact]
    public void They_train_a_network_to_a_falling_loss_and_an_average_that_is_no_worse()
    {
        torch.manual_seed(3);
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 64, Layers = 3 });
        var validation = new Dictionary<string, double>();
        using var enough = new CancellationTokenSource();
        var ended = new Watch((name, value) => validation[name] = value, () => enough.Cancel());
        var data = PointDataset.EightGaussians();
        var heldOut = PointDataset.EightGaussians(seed: 1, count: 2_000);
        using var trainer = new DdpmTrainer(
            network,
            DiscreteSchedule.Linear(),
            new SimpleLoss(),
            new TrainerOptions
            {
                Callbacks =
                [
                    Every.Steps(1_500, new ValidationLoss(heldOut) { Name = "averaged" }.Run),
                    Every.Steps(1_500, new ValidationLoss(heldOut) { Name = "trained", Average = null }.Run),
                    ended,
                ],
            });
        var progress = new DirectProgress();

        FluentActions.Invoking(() => trainer.Fit(data, progress, enough.Token)).Should().Throw<OperationCanceledException>();

        var losses = progress.Reports.Select(report => report.Loss).ToArray();
        losses.Should().HaveCount(30);
        var (first, middle, last) = (losses[..3].Average(), losses[12..15].Average(), losses[^3..].Average());
        middle.Should().BeLessThan(0.8 * first);
        last.Should().BeLessThan(middle);
        trainer.SkippedSteps.Should().Be(0);
        validation["averaged"].Should().BeLessThan(validation["trained"] + 0.01).And.BeLessThan(0.8 * first);
    }

    private sealed class Watch(Action<string, double> measured, Action end) : TrainerCallback
    {
        public override void MetricLogged(TrainingRun run, string name, double value) => measured(name, value);

        public override void AfterStep(TrainingRun run)
        {
            if (run.Step == 1_500)
                end();
        }
    }
}
