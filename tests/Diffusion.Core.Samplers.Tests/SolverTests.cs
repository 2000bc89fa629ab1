using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

[Collection(nameof(CountsTensors))]
public class SolverTests
{
    private static readonly double[] _x = [-1.3, 0.2, 2.1];
    private static readonly double[] _eps = [0.7, -1.1, 0.4];
    private static readonly double[] _z = [-0.3, 0.9, 1.7];

    [Theory]
    [InlineData("linear", false)]
    [InlineData("cosine", false)]
    [InlineData("linear", true)]
    [InlineData("cosine", true)]
    public void Between_neighbours_the_ancestral_step_is_Algorithm_2(string name, bool large)
    {
        var schedule = Combinations.Schedules[name];
        for (var t = 1; t < schedule.Steps; t += 37)
        {
            var (beta, bar, previousBar) = (schedule.Betas[t], schedule.AlphaBars[t], schedule.AlphaBars[t - 1]);
            var deviation = Math.Sqrt(large ? beta : beta * (1.0 - previousBar) / (1.0 - bar));
            var expected = _x.Zip(_eps, (x, eps) => (x - (beta / Math.Sqrt(1.0 - bar) * eps)) / Math.Sqrt(1.0 - beta))
                .Zip(_z, (mean, z) => mean + (deviation * z));

            var actual = Step(new AncestralSolver(large ? ReverseVariance.FixedLarge : ReverseVariance.FixedSmall), new TimeGrid(schedule, [t, t - 1.0]));

            actual.Zip(expected, (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-9, $"at t = {t}");
        }
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.3)]
    [InlineData(1.0)]
    public void The_ddim_step_is_equation_12_of_the_paper(double eta)
    {
        var schedule = DiscreteSchedule.Linear();
        foreach (var (t, target) in new[] { (999, 700), (700, 650), (650, 0), (1, 0) })
        {
            var (bar, targetBar) = (schedule.AlphaBars[t], schedule.AlphaBars[target]);
            var deviation = eta * Math.Sqrt((1.0 - targetBar) / (1.0 - bar)) * Math.Sqrt(1.0 - (bar / targetBar));
            var expected = _x.Zip(_eps, (x, eps) =>
                    (Math.Sqrt(targetBar) * (x - (Math.Sqrt(1.0 - bar) * eps)) / Math.Sqrt(bar))
                    + (Math.Sqrt(1.0 - targetBar - (deviation * deviation)) * eps))
                .Zip(_z, (mean, z) => mean + (deviation * z));

            var actual = Step(new DdimSolver(eta), new TimeGrid(schedule, [t, target]));

            actual.Zip(expected, (a, e) => Math.Abs(a - e)).Max().Should().BeLessThan(1e-10, $"from {t} to {target}");
        }
    }

    public static MatrixTheoryData<string, string, string> LastSteps
        => new(Combinations.Solvers.Keys, Combinations.Spacings.Keys, Combinations.Thresholds.Keys);

    [Theory]
    [MemberData(nameof(LastSteps))]
    public void The_step_to_the_data_returns_the_denoised_value_exactly_and_draws_nothing(string solver, string spacing, string threshold)
    {
        var schedule = DiscreteSchedule.Linear();
        var sampler = new DiffusionSampler(
            Combinations.Spacings[spacing].CreateGrid(schedule, 5),
            Combinations.Solvers[solver],
            new SamplerOptions { Threshold = Combinations.Thresholds[threshold] });
        using var source = new PerSampleNoise(seed: 3, count: 4);
        var draws = 0;
        using var noise = new ReplayNoise((_, like) =>
        {
            draws++;
            return source.Draw(like);
        });
        using var model = new ExactDenoiser(schedule, ExactDenoiser.Mixture, Prediction.Epsilon).Model;

        var request = new SamplingRequest { Shape = [4, 3], Noise = noise };
        foreach (var step in sampler.Steps(model, request, TestContext.Current.CancellationToken))
        {
            using var state = step;
            if (state.Step == 4)
                draws = 0;
            if (state.Step < 5)
                continue;
            state.Level.Should().Be(NoiseLevel.Clean);
            state.Sample.ShouldBeIdentical(state.Denoised!, "the sample");
            if (!SigmaSolvers.Churning.ContainsKey(solver))
                draws.Should().Be(0);
        }
    }

    [Fact]
    public void A_mixture_without_eps_is_x_0_itself_also_where_eps_is_not_finite()
    {
        using var x = tensor(_x);
        using var model = new FunctionDenoiser(v => v.mul(0.5)).On(new LogSigmaSchedule(preservesVariance: true), new UnguardedData());
        var evaluator = new ModelEvaluator(model, threshold: Thresholding.None);
        using var evaluation = evaluator.Evaluate(x, 0.0, NoiseLevel.Clean);

        using var mixture = evaluation.Mix(1.0, 0.0);

        mixture.ShouldBeIdentical(evaluation.X0, "the mixture");
    }

    [Theory]
    [InlineData("ancestral, fixed small")]
    [InlineData("ancestral, fixed large")]
    [InlineData("ddim, eta 0")]
    [InlineData("ddim, eta 1")]
    public void A_step_between_equal_times_changes_nothing(string solver)
    {
        foreach (var time in new[] { 999.0, 400.0, 0.0 })
        {
            var actual = Step(Combinations.Solvers[solver], new TimeGrid(DiscreteSchedule.Linear(), [time, time]));
            actual.Zip(_x, (a, x) => Math.Abs(a - x)).Max().Should().BeLessThan(1e-12);
        }
    }

    [Theory]
    [InlineData("ancestral, fixed small")]
    [InlineData("ddim, eta 0")]
    [InlineData("ddim, eta 0.5")]
    public void Duplicate_times_leave_the_trajectory_as_it_is(string solver)
    {
        var schedule = DiscreteSchedule.Linear();
        double[] Result(double[] times, int[] skipped)
        {
            using var noise = new ReplayNoise((m, like) => full_like(like, Math.Sin(m - skipped.Count(s => s < m))));
            using var result = new DiffusionSampler(new TimeGrid(schedule, times), Combinations.Solvers[solver]).Sample(
                new ExactDenoiser(schedule, ExactDenoiser.Mixture, Prediction.Epsilon).Model.With(DataRange.Images),
                new SamplingRequest { Shape = [4, 1], Noise = noise, Dtype = ScalarType.Float64 },
                cancellationToken: TestContext.Current.CancellationToken);
            return result.Values();
        }

        // A step of no length draws noise that it multiplies by zero: draws 1, 4 and 5 are such.
        var plain = Result([999, 600, 100], []);
        var repeated = Result([999, 999, 600, 100, 100, 100], [1, 4, 5]);

        repeated.Zip(plain, (a, b) => Math.Abs(a - b)).Max().Should().BeLessThan(1e-12);
    }

    [Fact]
    public void A_step_has_the_same_answer_whatever_came_before()
    {
        var schedule = DiscreteSchedule.Linear();
        foreach (var (name, solver) in Combinations.Solvers)
        {
            var first = Step(solver, new TimeGrid(schedule, [800.0, 500.0]));
            Step(solver, new TimeGrid(schedule, [999.0, 3.0]));
            Step(solver, new TimeGrid(schedule, [800.0, 500.0])).Should().Equal(first, name);
        }
    }

    [Fact]
    public void A_step_frees_everything_but_its_answer_and_leaves_its_sample_alone()
    {
        var schedule = DiscreteSchedule.Linear();
        foreach (var (name, solver) in Combinations.Solvers)
        {
            foreach (var grid in new[] { new TimeGrid(schedule, [800.0, 500.0]), new TimeGrid(schedule, [800.0]) })
            {
                using var x = tensor(_x);
                LiveTensors.Change(() =>
                {
                    using var step = new SolverStep(grid, 0, x, Fixed(), Replayed());
                    using var answer = solver.Step(step);
                    answer.Should().NotBeSameAs(x);
                }).Should().Be(0, name);
                x.Values().Should().Equal(_x, name);
            }
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_arguments_are_refused()
    {
        foreach (var eta in new[] { -0.1, 1.1, double.NaN })
        {
            var create = () => new DdimSolver(eta);
            create.Should().Throw<ArgumentOutOfRangeException>().WithMessage("*[0, 1]*");
        }

        foreach (var solver in Combinations.Solvers.Values)
        {
            var missing = () => solver.Step(null!);
            missing.Should().Throw<ArgumentNullException>();
        }

        using var x = tensor(_x);
        var grid = new TimeGrid(DiscreteSchedule.Linear(), [800.0, 500.0]);
        using var step = new SolverStep(grid, 0, x, Fixed(), Replayed());
        var learned = () => new AncestralSolver(ReverseVariance.Learned).Step(step);
        learned.Should().Throw<ArgumentException>().WithMessage("*'learned'*LearnsVariance*");

        foreach (var index in new[] { -1, 2 })
        {
            var outside = () => new SolverStep(grid, index, x, Fixed(), Replayed());
            outside.Should().Throw<ArgumentOutOfRangeException>();
        }
    }

    /// <summary>The first step of a grid, from a network that always says the same.</summary>
    private static double[] Step(ISolver solver, TimeGrid grid)
    {
        using var x = tensor(_x);
        using var step = new SolverStep(grid, 0, x, Fixed(), Replayed());
        using var answer = solver.Step(step);
        return answer.Values();
    }

    private static FixedEvaluator Fixed() => new();

    private static ReplayNoise Replayed() => new((_, _) => tensor(_z));

    /// <summary>x_0, with coefficients of eps that are not finite without noise.</summary>
    private sealed class UnguardedData : Prediction
    {
        public override string Name => "unguarded data";

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(1.0, 0.0);

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => new(1.0 / level.Sigma, -level.Alpha / level.Sigma);
    }

    private sealed class FixedEvaluator : IEvaluator
    {
        public ModelPrediction Evaluate(Tensor x, double time, NoiseLevel level)
        {
            var eps = tensor(_eps);
            return new ModelPrediction(time, level, Prediction.Epsilon.ToX0(level, level).Apply(x, eps), eps);
        }
    }
}
