using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>The range of the data: what samplers clip to, and what a trainer warns of.</summary>
public class DataRangeTests
{
    [Theory]
    [InlineData(-1.0, 1.0, false)]
    [InlineData(-0.5, 0.9, false)]
    [InlineData(0.0, 1.0, true)]
    [InlineData(0.0, 255.0, true)]
    [InlineData(-1.5, 1.0, true)]
    public void A_first_batch_that_does_not_fit_is_warned_of_once_with_numbers(double min, double max, bool warns)
    {
        using var samples = Values(8, min, max);
        using var network = new UNet(new UNetOptions { ImageSize = 8, Channels = 1, Width = 8, GroupNormGroups = 8, Multipliers = [1], LayersPerBlock = 1 });
        var logger = new ListLogger();
        using var trainer = new DdpmTrainer(network, DiscreteSchedule.Linear(), new SimpleLoss(), new TrainerOptions { BatchSize = 8, WarmupSteps = 0, Steps = 3 }, logger);
        trainer.Fit(new TensorDataset(samples), cancellationToken: TestContext.Current.CancellationToken);
        if (warns)
            logger.Warnings.Should().ContainSingle().Which.Should().Contain(FormattableString.Invariant($"{(double)(float)min}")).And.Contain(FormattableString.Invariant($"{(double)(float)max}")).And.Contain("[-1, 1]");
        else
            logger.Warnings.Should().BeEmpty();
    }

    [Fact]
    public void A_data_set_that_states_another_range_is_warned_of()
    {
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 8, Layers = 1 });
        using var model = new DiffusionModel(network, DiscreteSchedule.Linear()) { DataRange = DataRange.Images };
        var logger = new ListLogger();
        using var trainer = new DdpmTrainer(model, new SimpleLoss(), new TrainerOptions { BatchSize = 8, WarmupSteps = 0, Steps = 2 }, logger);
        trainer.Fit(PointDataset.EightGaussians(count: 16), cancellationToken: TestContext.Current.CancellationToken);
        logger.Warnings.Should().ContainSingle().Which.Should().Contain("[-1, 1]");
    }

    [Fact]
    public void Points_are_not_clipped_and_images_are()
    {
        var schedule = DiscreteSchedule.Linear();
        using var model = new DiffusionModel(new DelegateDenoiser((x, _) => ones_like(x).mul(3.0)), schedule, Prediction.X0);
        Largest(model, [4, 2]).Should().BeApproximately(3.0, 1e-6);
        Largest(model, [4, 1, 2, 2]).Should().BeApproximately(1.0, 1e-6);
        Largest(model.With(DataRange.Unbounded), [4, 1, 2, 2]).Should().BeApproximately(3.0, 1e-6);
        Largest(model.With(new DataRange(0.0, 2.0)), [4, 2]).Should().BeApproximately(2.0, 1e-6);
    }

    private static double Largest(DiffusionModel model, long[] shape)
    {
        using var samples = new DdimSampler(steps: 5).Sample(model, shape, seed: 0);
        return samples.Values().Max();
    }

    private static Tensor Values(long count, double min, double max)
    {
        using var ramp = linspace(min, max, count * 64, dtype: ScalarType.Float32);
        return ramp.reshape(count, 1, 8, 8).clone();
    }
}
