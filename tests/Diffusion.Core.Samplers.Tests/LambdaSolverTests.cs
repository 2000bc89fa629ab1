using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>What every solver over log-SNR must do, whatever its order.</summary>
[Collection(nameof(CountsTensors))]
public class LambdaSolverTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();

    public static TheoryData<string> All => [.. LambdaSolvers.All.Keys];

    public static TheoryData<string> Deterministic => [.. LambdaSolvers.Deterministic.Keys];

    public static TheoryData<string> ReachingData => [.. LambdaSolvers.ReachingData.Keys];

    public static TheoryData<string> Stochastic => [.. LambdaSolvers.Stochastic.Keys];

    [Theory]
    [MemberData(nameof(Deterministic))]
    public void A_trajectory_over_alpha_is_the_same_whether_variance_is_preserved_or_explodes(string name)
    {
        var solver = LambdaSolvers.Deterministic[name];
        var preserving = Trajectory(solver, new LogSigmaSchedule(true).Grid(9));
        var exploding = Trajectory(solver, new LogSigmaSchedule(false).Grid(9));

        for (var k = 0; k < preserving.Count; k++)
            Difference(preserving[k], exploding[k]).Should().BeLessThan(1e-10, $"after step {k}");
    }

    [Theory]
    [MemberData(nameof(All))]
    public void One_network_in_any_form_gives_one_result(string name)
    {
        var grid = TimeSpacing.Trailing.CreateGrid(_schedule, 7).WithFinalLevel(_schedule.LevelAt(0));
        foreach (var threshold in Combinations.Thresholds.Values)
        {
            double[] Result(Prediction prediction)
            {
                var options = new SamplerOptions { Threshold = threshold };
                using var result = new DiffusionSampler(grid, LambdaSolvers.All[name], options)
                    .Sample(Model(_schedule, prediction), Request(), cancellationToken: TestContext.Current.CancellationToken);
                return result.Values();
            }

            var reference = Result(Prediction.X0);
            foreach (var prediction in Combinations.Predictions.Values)
                Difference(Result(prediction), reference).Should().BeLessThan(1e-9, $"it predicts {prediction.Name}");
        }
    }

    [Theory]
    [MemberData(nameof(ReachingData))]
    public void Every_number_of_steps_works_and_ends_finite(string name)
    {
        foreach (var steps in new[] { 1, 2, 3, 4, 5, 6, 7, 14, 15, 16 })
            Run(LambdaSolvers.ReachingData[name], TimeSpacing.Trailing.CreateGrid(_schedule, steps)).Should().OnlyContain(x => Math.Abs(x) < 5.0, $"N = {steps}");
    }

    [Theory]
    [MemberData(nameof(Deterministic))]
    public void A_walk_of_one_step_is_that_of_DDIM(string name)
    {
        var grid = new LogSigmaSchedule(true).Grid(1);

        Difference(Run(LambdaSolvers.Deterministic[name], grid), Run(new DdimSolver(), grid)).Should().BeLessThan(1e-13);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(18)]
    public void The_step_to_the_data_returns_the_denoised_value_exactly(int steps)
    {
        foreach (var (name, solver) in LambdaSolvers.Data.Concat(LambdaSolvers.Stochastic))
        {
            var sampler = Sampler(solver, TimeSpacing.Trailing.CreateGrid(_schedule, steps));
            foreach (var step in sampler.Steps(Model(_schedule), Request(), TestContext.Current.CancellationToken))
            {
                using var state = step;
                if (state.Step == steps)
                    state.Sample.ShouldBeIdentical(state.Denoised!, name);
            }
        }
    }

    [Fact]
    public void A_start_without_signal_is_the_limit_of_little_signal()
    {
        static TimeGrid Grid(double alpha) => new(
            _schedule,
            [999.0, 700.0, 500.0, 300.0, 100.0],
            [
                new NoiseLevel(alpha, Math.Sqrt(1.0 - (alpha * alpha))),
                .. new[] { 700.0, 500.0, 300.0, 100.0, 10.0 }.Select(_schedule.LevelAt),
            ]);

        foreach (var (name, solver) in LambdaSolvers.Deterministic.Where(pair => pair.Value is not SaSolver { AlgorithmType.Name: "noise" }))
        {
            double[] Result(double alpha) => Run(solver, Grid(alpha), Prediction.Velocity);

            // A method of higher order brings the distant first level into its polynomials, with weights that vanish like 1 / log alpha;
            // weights of h / 2, B1's and SA-Solver's, have no limit, and eps little signal to be divided by.
            Result(0.0).Should().OnlyContain(x => Math.Abs(x) < 5.0, name);
            if (name is "dpm++(1)" or "dpm-1" or "deis-1")
                Difference(Result(0.0), Result(1e-7)).Should().BeLessThan(1e-5, name);
            else if (solver is DpmMultistepSolver { AlgorithmType.Name: "data" } or DpmSinglestepSolver { AlgorithmType.Name: "data" })
                Difference(Result(0.0), Result(1e-200)).Should().BeLessThan(0.2, name);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_repeated_level_is_safe(string name)
    {
        double[] times = [999.0, 999.0, 800.0, 800.0, 800.0, 600.0, 400.0, 400.0, 200.0, 50.0, 50.0];
        var grid = new TimeGrid(_schedule, times, _schedule.LevelAt(10));
        var solver = LambdaSolvers.All[name];

        Run(solver, grid).Should().OnlyContain(x => Math.Abs(x) < 5.0);
    }

    [Fact]
    public void A_solver_of_first_order_does_not_see_repeated_levels_at_all()
    {
        double[] times = [999.0, 999.0, 800.0, 800.0, 800.0, 600.0, 400.0, 400.0, 200.0, 50.0, 50.0];
        foreach (var name in new[] { "dpm++(1)", "dpm-1", "deis-1" })
        {
            var solver = LambdaSolvers.Deterministic[name];
            Difference(
                Run(solver, new TimeGrid(_schedule, times, _schedule.LevelAt(10))),
                Run(solver, new TimeGrid(_schedule, [.. times.Distinct()], _schedule.LevelAt(10)))).Should().BeLessThan(1e-12, name);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void The_same_call_has_the_same_answer_and_leaves_nothing_behind(string name)
    {
        var solver = LambdaSolvers.All[name];
        var grid = new LogSigmaSchedule(true).Grid(8);

        var first = Run(solver, grid);
        Run(solver, new LogSigmaSchedule(false).Grid(3));

        LiveTensors.Change(() => Run(solver, grid).Should().Equal(first)).Should().Be(0);
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Each_step_is_one_call_of_the_network(string name)
    {
        var denoiser = Model(_schedule).Network;
        var counted = new FunctionDenoiser((x, t, condition) => denoiser.Predict(x, t, condition));
        var grid = TimeSpacing.Trailing.CreateGrid(_schedule, 9).WithFinalLevel(_schedule.LevelAt(0));

        using var result = Sampler(LambdaSolvers.All[name], grid)
            .Sample(counted.On(_schedule), Request(), cancellationToken: TestContext.Current.CancellationToken);

        counted.Calls.Should().Be(9);
    }

    [Theory]
    [MemberData(nameof(Stochastic))]
    public void The_draws_decide_the_result_of_a_stochastic_solver_unless_tau_is_zero(string name)
    {
        var grid = TimeSpacing.Trailing.CreateGrid(_schedule, 8);
        double[] Result(ISolver solver, double scale)
        {
            using var noise = new ReplayNoise((m, like) => full_like(like, m == 0 ? 0.7 : scale * m));
            return Run(solver, grid, noise: noise);
        }

        Difference(Result(LambdaSolvers.Stochastic[name], 0.1), Result(LambdaSolvers.Stochastic[name], -0.1)).Should().BeGreaterThan(1e-3);
        var still = new SaSolver(3, 3, (_, _) => 0.0);
        Result(still, 0.1).Should().Equal(Result(still, -0.1));
    }

    [Theory]
    [InlineData("unipc-2")]
    [InlineData("unipc-3, bh1")]
    public void The_corrector_can_be_switched_off_for_each_step(string name)
    {
        var solver = (UniPcSolver)LambdaSolvers.Data[name];
        var grid = TimeSpacing.Trailing.CreateGrid(_schedule, 6);
        var asked = new List<int>();
        bool Record(int step, bool answer)
        {
            asked.Add(step);
            return answer;
        }

        var never = Run(new UniPcSolver(solver.Order, corrects: step => Record(step, false)), grid);
        var always = Run(new UniPcSolver(solver.Order, corrects: step => Record(step, true)), grid);

        asked.Should().Equal(0, 1, 2, 3, 4, 0, 1, 2, 3, 4);
        Difference(never, always).Should().BeGreaterThan(1e-4);
        if (solver.Order == 2)
            Difference(never, Run(new DpmMultistepSolver(2), grid)).Should().BeLessThan(1e-12, "UniP-2 with B2 is DPM-Solver++(2M)");
    }

    [Fact]
    public void The_same_method_by_another_name_is_the_same()
    {
        var grid = new LogSigmaSchedule(true).Grid(8);
        void Same(ISolver one, ISolver other) => Difference(Run(one, grid), Run(other, grid)).Should().BeLessThan(1e-11);

        Same(new DeisSolver(1), new DdimSolver());
        Same(new DeisSolver(2) { LowerOrderFinal = false }, LambdaSolvers.Noise["dpm-2m, heun"]);
        Same(new DeisSolver(3) { LowerOrderFinal = false }, DpmMultistepSolver.Corrected(AlgorithmType.NoisePrediction) with { LowerOrderFinal = false });
        Same(new SaSolver(3, 0, (_, _) => 0.0) { LowerOrderFinal = false }, new UniPcSolver(3, b: UniPcSolver.Bh1, corrects: _ => false) { LowerOrderFinal = false });
        Same(new SaSolver(2, 3, (_, _) => 0.0) { LowerOrderFinal = false }, new UniPcSolver(2, b: UniPcSolver.Bh1) { LowerOrderFinal = false });
    }

    [Theory]
    [InlineData(1e-9)]
    [InlineData(1e-4)]
    [InlineData(0.3)]
    [InlineData(3.0)]
    [InlineData(30.0)]
    public void B2_is_exact_for_large_and_small_steps(double h)
    {
        foreach (var z in new[] { h, -h })
        {
            var expected = h < 1e-3 ? z * (1.0 + (z / 2.0 * (1.0 + (z / 3.0 * (1.0 + (z / 4.0)))))) : Math.Exp(z) - 1.0;

            UniPcSolver.Bh2(z).Should().BeApproximately(expected, 2e-15 * Math.Abs(expected));
        }
    }

    [Theory]
    [MemberData(nameof(Deterministic))]
    public void A_walk_back_and_forth_returns_to_where_it_began(string name)
    {
        var solver = LambdaSolvers.Deterministic[name];
        var grid = new LogSigmaSchedule(true).Grid(160);
        using var data = tensor(new[] { -1.2, 0.1, 0.9 });

        if (name.StartsWith("sa", StringComparison.Ordinal))
        {
            var rising = () => Sampler(solver, grid.Inverted());
            rising.Should().Throw<ArgumentException>().WithMessage("*from noise to data*");
            return;
        }

        var model = Model(grid.Schedule);
        using var noise = Sampler(solver, grid.Inverted())
            .Sample(model, Request(data), cancellationToken: TestContext.Current.CancellationToken);
        using var back = Sampler(solver, grid).Sample(model, Request(noise), cancellationToken: TestContext.Current.CancellationToken);

        Difference(back.Values(), data.Values()).Should().BeLessThan(name is "dpm++(1)" or "dpm-1" or "deis-1" or "plms of v" ? 0.1 : 5e-3);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_a_solver_cannot_do_is_refused()
    {
        var clean = TimeSpacing.Trailing.CreateGrid(_schedule, 4);
        foreach (var (name, solver) in LambdaSolvers.Noise)
        {
            var create = () => Sampler(solver, clean);
            create.Should().Throw<ArgumentException>(name).WithMessage("*Noise prediction*step 3 of 4*");
        }

        foreach (var (name, solver) in LambdaSolvers.Stochastic)
        {
            var create = () => Sampler(solver, clean.WithFinalLevel(_schedule.LevelAt(0)).Inverted());
            create.Should().Throw<ArgumentException>(name).WithMessage("*from noise to data*");
        }

        var mute = new TimeGrid(_schedule, [999.0], [new NoiseLevel(0.0, 1.0), _schedule.LevelAt(500)]);
        var noisy = () => new DiffusionSampler(mute, new DpmMultistepSolver(1, AlgorithmType.NoisePrediction, tau: 1.0));
        noisy.Should().Throw<ArgumentException>().WithMessage("*without signal*");

        foreach (var create in new Func<ISolver>[]
        {
            () => new DpmMultistepSolver(0), () => new DpmMultistepSolver(4), () => new DpmMultistepSolver(tau: -1.0),
            () => new DpmSinglestepSolver(4), () => new DpmSinglestepSolver(tau: double.NaN), () => new UniPcSolver(5), () => new UniPcSolver(0),
            () => new DeisSolver(5), () => new SaSolver(0), () => new SaSolver(5), () => new SaSolver(2, 5), () => new SaSolver(2, -1),
        })
            create.Should().Throw<ArgumentOutOfRangeException>();

        var tau = () => Run(new SaSolver(tau: (_, _) => double.NaN), clean);
        tau.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*NaN*");
        var start = () => Sampler(new PndmSolver { RungeKuttaStart = true }, clean);
        start.Should().Throw<ArgumentException>().WithMessage("*WithRungeKuttaStart*");
        foreach (var solver in LambdaSolvers.All.Values)
        {
            var missing = () => solver.Step(null!);
            missing.Should().Throw<ArgumentNullException>();
        }
    }

    private static DiffusionModel Model(INoiseSchedule schedule, Prediction? prediction = null)
        => new ExactDenoiser(schedule, ExactDenoiser.Mixture, prediction ?? Prediction.Epsilon).Model;

    private static DiffusionSampler Sampler(ISolver solver, TimeGrid grid)
        => new(grid, solver, new SamplerOptions { Threshold = Thresholding.None });

    private static SamplingRequest Request(Tensor? initial = null, INoiseSource? noise = null)
        => new() { Shape = initial?.shape ?? [3, 2], Seed = 5, InitialSample = initial, Noise = noise, Dtype = ScalarType.Float64 };

    private static double[] Run(ISolver solver, TimeGrid grid, Prediction? prediction = null, INoiseSource? noise = null)
    {
        using var result = Sampler(solver, grid)
            .Sample(Model(grid.Schedule, prediction), Request(noise: noise), cancellationToken: TestContext.Current.CancellationToken);
        return result.Values();
    }

    /// <summary>x / alpha after each step, from sigma / alpha 10.</summary>
    private static List<double[]> Trajectory(ISolver solver, TimeGrid grid)
    {
        using var initial = tensor(new[] { -19.0, -3.0, 4.0, 12.0 }).mul_(grid.Levels[0].Alpha);
        return
        [
            .. Sampler(solver, grid).Steps(Model(grid.Schedule), Request(initial))
                .Select(state => state.Sample.Values().Select(x => x / state.Level.Alpha).ToArray()),
        ];
    }

    private static double Difference(double[] a, double[] b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Max();
}
