using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>Steps of the solvers over sigma / alpha against the formulas of their papers, worked out by hand.</summary>
public class SigmaSolverTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();
    private static readonly double[] _x = [-1.3, 0.2, 2.1];
    private static readonly double[] _z = [-0.3, 0.9, 1.7];

    public static TheoryData<string> Deterministic => [.. SigmaSolvers.Deterministic.Keys];

    public static TheoryData<string> Still => [.. SigmaSolvers.Deterministic.Keys, "euler ancestral", "dpm2 ancestral", "dpm++ sde", "tcd"];

    [Theory]
    [MemberData(nameof(Still))]
    public void A_step_between_equal_levels_changes_nothing(string solver)
    {
        foreach (var time in new[] { 999.0, 400.0, 0.0 })
            Step(Combinations.Solvers[solver], new TimeGrid(_schedule, [time, time])).Zip(_x, (a, x) => Math.Abs(a - x)).Max().Should().BeLessThan(1e-12);
    }

    [Theory]
    [MemberData(nameof(Deterministic))]
    public void Duplicate_times_leave_the_trajectory_as_it_is(string solver)
    {
        double[] Result(params double[] times)
        {
            using var first = tensor(_x);
            using var result = new DiffusionSampler(new TimeGrid(_schedule, times), SigmaSolvers.Deterministic[solver]).Sample(
                Mixture().With(DataRange.Images),
                new SamplingRequest { Shape = [3], InitialSample = first },
                cancellationToken: TestContext.Current.CancellationToken);
            return result.Values();
        }

        // A multistep method keeps as many steps as it needs, and those of no length are among them: its order may fall, nothing else.
        var tolerance = solver is "lms-3" or "lms-4" ? 0.05 : 1e-11;
        Result(999, 999, 800, 600, 300, 100, 100, 100).Zip(Result(999, 800, 600, 300, 100), (a, b) => Math.Abs(a - b)).Max()
            .Should().BeLessThan(tolerance);
    }

    [Fact]
    public void Every_solver_stays_finite_on_duplicate_times()
    {
        foreach (var (name, solver) in Combinations.Solvers)
        {
            using var noise = new PerSampleNoise(1, 3);
            using var result = new DiffusionSampler(new TimeGrid(_schedule, [999, 999, 400, 400, 0, 0]), solver).Sample(
                Mixture().With(DataRange.Images),
                new SamplingRequest { Shape = [3, 2], Noise = noise },
                cancellationToken: TestContext.Current.CancellationToken);
            result.Values().Should().OnlyContain(x => double.IsFinite(x), name);
        }
    }

    [Theory]
    [InlineData(0.3, 1.0)]
    [InlineData(1.0, 1.05)]
    public void Euler_ancestral_is_DDIM_with_noise(double eta, double noiseScale)
    {
        var (from, to) = (_schedule.LevelAt(700).NoiseToSignalRatio, _schedule.LevelAt(400).NoiseToSignalRatio);
        var up = Math.Min(to, eta * Math.Sqrt(to * to * ((from * from) - (to * to)) / (from * from)));
        var down = Math.Sqrt((to * to) - (up * up));
        var expected = Array.ConvertAll(_x, x => x / _schedule.Alpha(700)).Zip(_z, (y, z)
            => _schedule.Alpha(400) * (y + ((down - from) * Eps(y, 700)) + (up * noiseScale * z)));

        Step(new DdimSolver(eta, noiseScale), new TimeGrid(_schedule, [700, 400])).Zip(expected, (a, e) => Math.Abs(a - e)).Max()
            .Should().BeLessThan(1e-12);
    }

    [Theory]
    [InlineData(3.0, 0.0, double.PositiveInfinity, 0.3)]
    [InlineData(30.0, 0.0, double.PositiveInfinity, 0.4142135623730951)]
    [InlineData(3.0, 50.0, double.PositiveInfinity, 0.0)]
    [InlineData(3.0, 0.0, 1.0, 0.0)]
    public void Churn_raises_the_noise_as_in_Algorithm_2(double amount, double min, double max, double share)
    {
        var grid = SigmaSpacing.Karras().CreateGrid(new EdmSchedule(), 10);
        var index = 3;
        var (t, next) = (grid.Levels[index].Sigma, grid.Levels[index + 1].Sigma);
        var raised = t * (1.0 + share);
        var churn = new Churn { Amount = amount, MinRatio = min, MaxRatio = max, NoiseScale = 1.003 };
        double Slope(double x, double sigma) => (x - ExactDenoiser.Mixture(x, new NoiseLevel(1.0, sigma))) / sigma;
        var euler = new double[_x.Length];
        var heun = new double[_x.Length];
        for (var i = 0; i < _x.Length; i++)
        {
            var x = _x[i] + (Math.Sqrt((raised * raised) - (t * t)) * 1.003 * _z[i]);
            euler[i] = x + ((next - raised) * Slope(x, raised));
            heun[i] = x + ((next - raised) * (0.5 * (Slope(x, raised) + Slope(euler[i], next))));
        }

        Step(new EulerSolver(churn), grid, index).Zip(euler, (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-10);
        Step(new HeunSolver(churn), grid, index).Zip(heun, (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-10);
    }

    [Fact]
    public void Churn_does_not_go_beyond_the_schedule()
    {
        var grid = SigmaSpacing.Karras().CreateGrid(new EdmSchedule(), 4);
        var solver = new EulerSolver(new Churn { Amount = 1.0 });

        Step(solver, grid).Should().Equal(Step(new EulerSolver(), grid), "the grid starts at the most noise there is");
    }

    [Fact]
    public void A_sampler_of_consistency_models_with_the_exact_function_is_exact_in_any_number_of_steps()
    {
        // For N(m, s^2) the flow from any sigma ends in m + s (x - m) / sqrt(s^2 + sigma^2).
        var (schedule, slack) = (new EdmSchedule(1e-6, 80.0), 1e-3);
        foreach (var steps in new[] { 1, 2, 7 })
        {
            var sampler = new DiffusionSampler(
                SigmaSpacing.Exponential().CreateGrid(schedule, steps),
                new ConsistencySolver(),
                new SamplerOptions { Threshold = Thresholding.None });
            using var noise = new ReplayNoise((m, like) =>
            {
                var unit = zeros_like(like);
                using var probe = unit.narrow(0, m + 1, 1);
                probe.fill_(1.0);
                return unit;
            });
            var function = new ExactDenoiser(
                schedule, (x, level) => 0.3 + (0.5 * (x - 0.3) / Math.Sqrt(0.25 + (level.Sigma * level.Sigma))), Prediction.X0);
            using var result = sampler.Sample(
                function.Model,
                new SamplingRequest { Shape = [steps + 1, 1], Noise = noise, Dtype = ScalarType.Float64 },
                cancellationToken: TestContext.Current.CancellationToken);
            var values = result.Values();
            values[0].Should().BeApproximately(0.3, 1e-2);
            values.Skip(1).Sum(value => Math.Pow(value - values[0], 2)).Should().BeApproximately(0.25, slack);
        }
    }

    [Theory]
    [InlineData(10.0, 0.5)]
    [InlineData(2.0, 1.0)]
    public void A_latent_consistency_model_mixes_in_its_input_near_time_zero(double scale, double deviation)
    {
        foreach (var time in new[] { 0.0, 1.0, 700.0 })
        {
            var level = _schedule.LevelAt(time);
            var scaled = scale * time;
            var skip = deviation * deviation / ((scaled * scaled) + (deviation * deviation));
            var expected = _x.Select(x => (skip * x) + (scaled / Math.Sqrt((scaled * scaled) + (deviation * deviation)) * ExactDenoiser.Mixture(x, level)));

            Step(ConsistencySolver.Latent(scale, deviation), new TimeGrid(_schedule, [time])).Zip(expected, (a, e) => Math.Abs(a - e)).Max()
                .Should().BeLessThan(1e-12, $"at t = {time}");
        }
    }

    [Fact]
    public void Trajectory_consistency_goes_from_DDIM_to_fresh_noise()
    {
        var grid = new TimeGrid(_schedule, [700, 400]);
        Step(new TcdSolver(0.0), grid).Should().Equal(Step(new DdimSolver(), grid));

        // gamma 1 goes all the way to index 0, which still holds a little noise.
        var fresh = Step(new ConsistencySolver(), grid);
        Step(new TcdSolver(1.0), grid).Zip(fresh, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(0.02);

        // In between: down to index floor(.7 * 400) = 280, and up again.
        var (s, t) = (_schedule.LevelAt(280), _schedule.LevelAt(400));
        var forward = GaussianTransition.Forward(t, s);
        var down = Step(new DdimSolver(), new TimeGrid(_schedule, [700, 280]));
        Step(new TcdSolver(0.3), grid).Zip(down.Zip(_z, (x, z) => forward.Apply(x, z)), (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-12);
    }

    [Fact]
    public void The_corrector_is_a_Langevin_step_by_the_norms_of_each_sample()
    {
        var predicted = Step(new DdimSolver(), new TimeGrid(_schedule, [700, 400]));
        var level = _schedule.LevelAt(400);
        var eps = Array.ConvertAll(predicted, x => (x - (level.Alpha * ExactDenoiser.Mixture(x, level))) / level.Sigma);
        var q = 0.2 * Norm(_z) / Norm(eps);
        var expected = predicted.Select((x, i) => x - (2.0 * q * q * level.Sigma * eps[i]) + (2.0 * q * level.Sigma * _z[i]));

        var actual = Step(new LangevinCorrectedSolver(new DdimSolver(), snr: 0.2), new TimeGrid(_schedule, [700, 400]), batch: 1);
        actual.Zip(expected, (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-12);

        static double Norm(double[] values) => Math.Sqrt(values.Sum(value => value * value));
    }

    [Fact]
    public void The_corrector_keeps_the_distribution_of_its_level()
    {
        // Many dimensions make the norms nearly constant. The predictor stands still, so that only the corrector acts.
        var schedule = new EdmSchedule();
        var (time, sigma) = (schedule.TimeOfSigma(0.7), 0.7);
        var sampler = new DiffusionSampler(
            new TimeGrid(schedule, Enumerable.Repeat(time, 200).ToArray(), schedule.LevelAt(time)),
            new LangevinCorrectedSolver(new DdimSolver(), snr: 0.1),
            new SamplerOptions { Threshold = Thresholding.None });
        using var result = sampler.Sample(
            new ExactDenoiser(schedule, ExactDenoiser.Gaussian(0.3, 0.5), Prediction.Epsilon).Model,
            new SamplingRequest { Shape = [1, 20_000], Dtype = ScalarType.Float64 },
            cancellationToken: TestContext.Current.CancellationToken);

        // It started from another deviation, sqrt(1 + .7^2). A step of finite size widens it by about 1 %.
        var values = result.Values();
        values.Average().Should().BeApproximately(0.3, 0.03);
        Math.Sqrt(values.Average(x => Math.Pow(x - values.Average(), 2))).Should().BeApproximately(Math.Sqrt(0.25 + (sigma * sigma)), 0.03);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_settings_are_refused()
    {
        foreach (var create in new Func<object>[]
        {
            () => new Churn { Amount = -1.0 },
            () => new Churn { Amount = double.NaN },
            () => new Churn { NoiseScale = 0.0 },
            () => new LmsSolver(0),
            () => new LmsSolver(5),
            () => new Dpm2Solver(eta: 1.1),
            () => new Dpm2Solver(noiseScale: 0.0),
            () => new DpmPlusPlusSdeSolver(eta: -0.1),
            () => new DpmPlusPlusSdeSolver(fraction: 0.0),
            () => new DpmPlusPlusSdeSolver(fraction: 1.1),
            () => new DdimSolver(noiseScale: double.NaN),
            () => new ConsistencySolver(minRatio: -1.0),
            () => ConsistencySolver.Latent(timeScale: 0.0),
            () => ConsistencySolver.Latent(dataDeviation: -1.0),
            () => new TcdSolver(1.5),
            () => new LangevinCorrectedSolver(new DdimSolver(), snr: 0.0),
            () => new LangevinCorrectedSolver(new DdimSolver(), corrections: 0),
        })
        {
            create.Should().Throw<ArgumentOutOfRangeException>();
        }

        var missing = () => new LangevinCorrectedSolver(null!);
        missing.Should().Throw<ArgumentNullException>();
    }

    private static double Eps(double y, double time)
        => (y - ExactDenoiser.Mixture(y * _schedule.Alpha(time), _schedule.LevelAt(time))) / _schedule.LevelAt(time).NoiseToSignalRatio;

    private static DiffusionModel Mixture() => new ExactDenoiser(_schedule, ExactDenoiser.Mixture, Prediction.Epsilon).Model;

    /// <summary>One step of a grid, on the exact denoiser of the mixture and a fixed draw.</summary>
    private static double[] Step(ISolver solver, TimeGrid grid, int index = 0, long batch = 3)
    {
        using var flat = tensor(_x);
        using var x = flat.reshape(batch, -1);
        using var noise = new ReplayNoise((_, like) =>
        {
            using var z = tensor(_z);
            return z.reshape(like.shape).clone();
        });
        using var step = new SolverStep(grid, index, x, new Exact(grid.Schedule), noise);
        using var answer = solver.Step(step);
        return answer.Values();
    }

    private sealed class Exact(INoiseSchedule schedule) : IEvaluator
    {
        public ModelPrediction Evaluate(Tensor x, double time, NoiseLevel level)
        {
            schedule.LevelAt(time).NoiseToSignalRatio.Should().BeApproximately(level.NoiseToSignalRatio, 1e-9 * level.NoiseToSignalRatio);
            using var flat = tensor(Array.ConvertAll(x.Values(), value => ExactDenoiser.Mixture(value, level)));
            var data = flat.reshape(x.shape).clone();
            return new ModelPrediction(time, level, data, Prediction.EpsilonGivenX0(level).Apply(x, data));
        }
    }
}
