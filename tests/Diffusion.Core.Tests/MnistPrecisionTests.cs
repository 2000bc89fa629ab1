using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>A network learns MNIST as well in lower precision as in float32: a few minutes on one core.</summary>
[Trait(Category.Name, Category.Long)]
public class MnistPrecisionTests(ITestOutputHelper output)
{
    private const int Steps = 400;
    private const int Window = 50;

    /// <summary>By how much the mean loss of 50 steps may differ: docs/training.md states it.</summary>
    private const double Bound = 0.01;

    [Fact]
    public void The_loss_curve_on_MNIST_in_bfloat16_is_that_of_float32_within_one_percent()
    {
        var data = new Mnist(TestData.RequireData("mnist"), options: new MnistOptions { WithLabels = false });
        var full = Curve(data, Precision.Full);
        var narrow = Curve(data, Precision.BFloat16);

        var worst = full.Zip(narrow, (a, b) => Math.Abs(b - a) / a).Max();
        output.WriteLine($"float32:  {string.Join(" ", full.Select(loss => loss.ToString("F4", System.Globalization.CultureInfo.InvariantCulture)))}");
        output.WriteLine($"bfloat16: {string.Join(" ", narrow.Select(loss => loss.ToString("F4", System.Globalization.CultureInfo.InvariantCulture)))}");
        output.WriteLine($"largest difference: {worst:P2}");
        foreach (var curve in (double[][])[full, narrow])
        {
            curve.Should().HaveCount(Steps / Window);
            curve[^1].Should().BeLessThan(0.2 * curve[0]);
        }

        narrow.Should().NotEqual(full, "the one is computed in another type");
        worst.Should().BeLessThan(Bound);
    }

    /// <summary>The mean loss of each window of steps, with the same weights, batches, times and noise every time.</summary>
    private static double[] Curve(IDataset data, Precision precision)
    {
        random.manual_seed(1);
        using var network = new UNet(new UNetOptions
        {
            ImageSize = 28,
            Channels = 1,
            Width = 16,
            Multipliers = [1, 2],
            LayersPerBlock = 1,
            GroupNormGroups = 8,
        });
        using var trainer = new DdpmTrainer(network, DiscreteSchedule.Cosine(), new SimpleLoss(), new TrainerOptions
        {
            Steps = Steps,
            BatchSize = 16,
            Seed = 7,
            LearningRate = 1e-3,
            WarmupSteps = 50,
            Precision = precision,
            LogEvery = Window,
        });
        var losses = new List<double>();
        trainer.Fit(data, new DirectProgress(report => losses.Add(report.Loss)), TestContext.Current.CancellationToken);
        return [.. losses];
    }
}
