using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using TorchSharp;

namespace Diffusion.Core.Tests;

/// <summary>Training as a whole: a distribution in the plane is learned to within the noise of the measurement.</summary>
public class EightGaussiansTests
{
    private const int Sets = 5;
    private const int Size = 1000;

    // Two sets of 1000 true points: mean and standard deviation.
    private static readonly (double Mean, double Deviation) EnergyFloor = (-2.5e-4, 2.4e-3);
    private static readonly (double Mean, double Deviation) MmdFloor = (-1.0e-3, 1.8e-3);
    private static readonly (double Mean, double Deviation) SlicedW2Floor = (0.145, 0.031);

    [Fact]
    public void True_points_are_at_the_noise_floor()
    {
        var metrics = Compare(set => PointMetrics.EightGaussians(100 + set, Size));

        WithinTheFloor(metrics).Should().BeTrue(metrics.ToString());
        metrics.SlicedW2.Should().BeGreaterThan(SlicedW2Floor.Mean - (2 * SlicedW2Floor.Deviation));
    }

    [Fact]
    public void A_missing_mode_a_ring_and_a_shift_are_seen()
    {
        var missing = Compare(set =>
            [.. PointMetrics.EightGaussians(100 + set, 2 * Size).Where(p => p.X < 1 || Math.Abs(p.Y) > 0.5).Take(Size)]);
        var ring = Compare(set => [.. Enumerable.Range(0, Size).Select(i => (1.4 * Math.Cos(i + set), 1.4 * Math.Sin(i + set)))]);
        var shift = Compare(set => [.. PointMetrics.EightGaussians(100 + set, Size).Select(p => (p.X + 0.1, p.Y))]);

        foreach (var metrics in (PointMetrics[])[missing, ring, shift])
            WithinTheFloor(metrics).Should().BeFalse(metrics.ToString());
    }

    [Fact]
    public void The_width_of_the_modes_is_seen_by_their_deviation_alone()
    {
        var metrics = Compare(set => PointMetrics.EightGaussians(100 + set, Size, deviation: 0.03));

        WithinTheFloor(metrics).Should().BeTrue(metrics.ToString());
        var wide = PointMetrics.ModeDeviation(PointMetrics.EightGaussians(1, Size, deviation: 0.03));
        (wide / PointMetrics.ModeDeviation(PointMetrics.EightGaussians(1, Size))).Should().BeApproximately(1.5, 0.01);
    }

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void A_network_trained_here_samples_to_within_two_deviations_of_the_noise_floor()
    {
        var token = TestContext.Current.CancellationToken;
        torch.manual_seed(0);
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 128, Layers = 3 });
        var schedule = DiscreteSchedule.Cosine();
        using var trainer = new DdpmTrainer(network, schedule, new SimpleLoss(), new TrainerOptions
        {
            Steps = 6000,
            BatchSize = 256,
            LearningRateSchedule = LearningRateSchedules.Cosine(2e-3, steps: 6000, warmupSteps: 200),
            Ema = EmaDecay.WarmUp(0.999),
            LogEvery = 1000,
        });

        trainer.Fit(PointDataset.EightGaussians(seed: 1), cancellationToken: token);

        // The modes lie up to 1.42 from the middle; without a bound, the first step of a cosine schedule divides by an alpha of 5e-5.
        var options = new SamplerOptions { Threshold = Thresholding.Static(1.5) };
        foreach (var (name, sampler) in new (string, ISampler)[]
        {
            ("DDIM, 100 steps", new DdimSampler(100, options: options)),
            ("ancestral, 250 steps", new AncestralSampler(250, options: options)),
        })
        {
            using var samples = sampler.Sample(trainer.Ema, [Sets * Size, 2], seed: 0, cancellationToken: token);
            var points = PointMetrics.Points(samples);
            var metrics = Compare(set => points[(set * Size)..((set + 1) * Size)]);
            var ratio = PointMetrics.ModeDeviation(points) / PointMetrics.ModeDeviation(PointMetrics.EightGaussians(2, Sets * Size));
            TestContext.Current.SendDiagnosticMessage($"{name}: {metrics}, deviation of the modes {ratio:F2} of the true one");

            WithinTheFloor(metrics).Should().BeTrue($"{name}: {metrics}");
            ratio.Should().BeInRange(0.5, 1.5, name);
        }
    }

    private static PointMetrics Compare(Func<int, (double X, double Y)[]> samples) => PointMetrics.Mean(
        [.. Enumerable.Range(0, Sets).Select(set => PointMetrics.Of(samples(set), PointMetrics.EightGaussians(200 + set, Size)))]);

    private static bool WithinTheFloor(PointMetrics metrics)
        => Within(metrics.Energy, EnergyFloor) && Within(metrics.Mmd, MmdFloor) && Within(metrics.SlicedW2, SlicedW2Floor);

    private static bool Within(double value, (double Mean, double Deviation) floor) => value <= floor.Mean + (2 * floor.Deviation);
}
