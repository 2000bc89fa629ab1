using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>Everything that the library calls a strategy, brought by an assembly that sees the public surface alone, and used together.</summary>
public class ExtensionTests
{
    private static readonly PowerSchedule _schedule = new(1.2);

    [Fact]
    public void Strategies_of_ones_own_train_and_sample_together()
    {
        var cancellationToken = TestContext.Current.CancellationToken;
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 32, Layers = 2 });
        using var model = new DiffusionModel(network, _schedule, new BlendPrediction());
        using var trainer = new DdpmTrainer(
            model,
            new SimpleLoss(weighting: new BellWeighting()),
            new TrainerOptions
            {
                BatchSize = 64,
                Steps = 300,
                LearningRate = 3e-3,
                WarmupSteps = 10,
                LogEvery = 10,
                Ema = EmaDecay.Constant(0.9),
                Timesteps = TimestepSampler.FromDistribution(TimeDistribution.OfTime("square", u => u * u)),
            });
        var losses = new List<double>();
        trainer.Fit(new RingDataset(), new Recorder(losses), cancellationToken);

        losses.TakeLast(5).Average().Should().BeLessThan(losses[0], "averages over ten steps fall");

        var sampler = new DiffusionSampler(new MidpointSolver(), steps: 24, new GeometricSpacing(_schedule.MaxTime));
        using var inference = trainer.Ema.BeginInference();
        var guided = trainer.Ema.With(new MeanGuidance(trainer.Ema.Network, network));
        using var points = sampler.Sample(guided, [128, 2], seed: 3, cancellationToken: cancellationToken);

        // A network of a few hundred weights finds the ring, not its sharp edge: the mean radius is 1 within a quarter.
        using var radii = points.mul(points).sum(1L).sqrt();
        radii.isfinite().all().item<bool>().Should().BeTrue();
        radii.mean().item<float>().Should().BeInRange(0.75f, 1.25f);
    }

    /// <summary>
    /// The solver of this assembly on its schedule and grid, for data from N(-0.7, 0.2^2) and N(0.7, 0.2^2) in equal parts: the differences
    /// between grids of N, 2N and 4N steps. (For one Gaussian the midpoint rule is of third order: y' is r / y, whose second order error
    /// vanishes.)
    /// </summary>
    [Fact]
    public void A_solver_of_ones_own_has_its_order_on_a_schedule_of_ones_own()
    {
        var (coarse, middle, fine) = (End(320), End(640), End(1280));
        Math.Log2((coarse - middle) / (middle - fine)).Should().BeApproximately(2.0, 0.15, "the midpoint rule has order 2");

        static double End(int steps)
        {
            var prediction = new BlendPrediction();
            var grid = new GeometricSpacing(0.7).CreateGrid(_schedule, steps);
            var sampler = new DiffusionSampler(grid, new MidpointSolver(), new SamplerOptions { Threshold = Thresholding.None });
            using var start = tensor(new[] { 0.4 }).reshape(1, 1);
            var denoiser = new DelegateDenoiser((x, t, _) =>
            {
                var level = _schedule.LevelAt(Math.Clamp(t[0].item<double>(), _schedule.MinTime, _schedule.MaxTime));
                using var data = Mean(x, level);
                using var noise = Prediction.EpsilonGivenX0(level).Apply(x, data);
                return prediction.Target(level, level).Apply(data, noise);
            });
            using var model = new DiffusionModel(denoiser, _schedule, prediction);
            using var end = sampler.Sample(model, new SamplingRequest { Shape = [1, 1], InitialSample = start });
            return end.item<double>();
        }

        // E[x_0 | x]: that of one Gaussian around 0, and the part of either mean, weighed by the odds of the two.
        static Tensor Mean(Tensor x, NoiseLevel level)
        {
            var variance = (level.Alpha * level.Alpha * 0.04) + (level.Sigma * level.Sigma);
            using var odds = x.mul(level.Alpha * 0.7 / variance);
            using var sign = odds.tanh();
            return new LinearPair(level.Alpha * 0.04 / variance, 0.7 * level.Sigma * level.Sigma / variance).Apply(x, sign);
        }
    }

    private sealed class Recorder(List<double> losses) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => losses.Add(value.Loss);
    }
}
