using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

/// <summary>What a user does with this library, in full, on small digits.</summary>
public class DesignExampleTests
{
    [Fact]
    public void A_schedule_and_a_network_are_plugged_into_a_trainer_and_sampled_from()
    {
        using var folder = new TemporaryFolder();
        var logger = new ListLogger();
        var progress = new DirectProgress();
        var cancellationToken = TestContext.Current.CancellationToken;

        using var unet = new UNet(new UNetOptions { ImageSize = 16, Channels = 1, Width = 8, Multipliers = [1, 2, 2] });
        var schedule = DiscreteSchedule.Cosine(steps: 1000);
        using var trainer = new DdpmTrainer(
            unet,
            schedule,
            new SimpleLoss(),
            new TrainerOptions { BatchSize = 8, Steps = 6, LogEvery = 3, CheckpointFolder = folder.File("run") },
            logger);
        trainer.Fit(new SyntheticDigits(count: 20, imageSize: 16), progress, cancellationToken);

        var sampler = new DdimSampler(steps: 4);
        using var images = sampler.Sample(trainer.Ema, shape: [6, 1, 16, 16], seed: 0, cancellationToken: cancellationToken);
        ImageGrid.SavePng(images, folder.File("samples.png"));

        images.shape.Should().Equal(6, 1, 16, 16);
        images.isfinite().all().item<bool>().Should().BeTrue();
        new FileInfo(folder.File("samples.png")).Length.Should().BePositive();
        progress.Reports.Select(report => report.Step).Should().Equal(3, 6);
        logger.Entries.Should().NotBeEmpty();
        CheckpointStore.Latest(folder.File("run")).Should().EndWith("step-00000006");
    }

    [Fact]
    public void A_conditional_network_is_told_the_labels_of_the_data()
    {
        using var unet = new UNet(new UNetOptions
        {
            ImageSize = 16,
            Channels = 1,
            Width = 8,
            Multipliers = [1, 2],
            Classes = SyntheticDigits.Classes,
            Dropout = 0.1,
        });
        var schedule = DiscreteSchedule.Linear();
        using var trainer = new DdpmTrainer(unet, schedule, new SimpleLoss(), new TrainerOptions { BatchSize = 8, Steps = 2 });
        var embedding = unet.state_dict().Single(entry => entry.Key.StartsWith("class_embedding", StringComparison.Ordinal)).Value;
        var before = Bits.Of(embedding);

        trainer.Run(new SyntheticDigits(count: 20, imageSize: 16));

        Bits.Of(embedding).Should().NotBe(before);
        using var labels = Condition.OfLabels([0, 1, 2]);
        using var images = new AncestralSampler(steps: 2).Sample(
            trainer.Ema, [3, 1, 16, 16], seed: 0, labels, cancellationToken: TestContext.Current.CancellationToken);
        images.isfinite().all().item<bool>().Should().BeTrue();
    }
}
