using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>
/// Custom solvers, written against the public contract alone: what multistep methods, methods with several evaluations and
/// methods that add noise first need is there, and works to the last published digit.
/// </summary>
[Collection(nameof(CountsTensors))]
public class SolverContractTests
{
    [Theory]
    [InlineData(true, 20, 1.43e-2)]
    [InlineData(true, 80, 1.02e-3)]
    [InlineData(false, 80, 1.02e-3)]
    public void A_multistep_method_reads_its_history(bool preservesVariance, int steps, double error)
        => ProbabilityFlow.Error(new LinearMultistep(), new LogSigmaSchedule(preservesVariance).Grid(steps)).Should().BeApproximately(error, 5e-3 * error);

    [Theory]
    [InlineData(true, 20, 4.15e-3)]
    [InlineData(true, 80, 2.48e-4)]
    [InlineData(false, 80, 2.48e-4)]
    public void A_method_may_evaluate_between_the_times_of_the_grid(bool preservesVariance, int steps, double error)
        => ProbabilityFlow.Error(new Midpoint(), new LogSigmaSchedule(preservesVariance).Grid(steps)).Should().BeApproximately(error, 5e-3 * error);

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void The_history_holds_the_last_steps_newest_first(int length)
    {
        var schedule = DiscreteSchedule.Linear();
        var grid = TimeSpacing.Trailing.CreateGrid(schedule, 6);
        var solver = new Recorder(length);
        using var model = new ExactDenoiser(schedule, ExactDenoiser.Mixture, Prediction.Epsilon).Model.With(DataRange.Images);
        var (samples, denoised) = (new List<double[]>(), new List<double[]>());

        LiveTensors.Change(() =>
        {
            var request = new SamplingRequest { Shape = [2, 3] };
            foreach (var step in new DiffusionSampler(grid, solver).Steps(model, request, TestContext.Current.CancellationToken))
            {
                using var state = step;
                samples.Add(state.Sample.Values());
                if (state.Denoised is not null)
                    denoised.Add(state.Denoised.Values());
            }
        }).Should().Be(0);

        for (var k = 0; k < 6; k++)
        {
            var seen = solver.Seen[k];
            seen.Should().HaveCount(Math.Min(k, length));
            for (var i = 0; i < seen.Count; i++)
            {
                seen[i].Time.Should().Be(grid.Times[k - 1 - i]);
                seen[i].Sample.Should().Equal(samples[k - 1 - i]);
                seen[i].Data.Should().Equal(denoised[k - 1 - i]);
            }
        }
    }

    [Fact]
    public void A_method_that_adds_noise_first_pays_for_no_call_it_does_not_make()
    {
        var schedule = new LogSigmaSchedule(preservesVariance: false);
        var times = new List<double>();
        var denoiser = new FunctionDenoiser((x, t, _) =>
        {
            times.Add(t.Values()[0]);
            return x.mul(0.1);
        });
        var grid = new TimeGrid(schedule, [0.0, -1.0, -2.0]);
        var states = new List<bool>();
        var (sampler, request) = (new DiffusionSampler(grid, new Churn()), new SamplingRequest { Shape = [2] });
        foreach (var state in sampler.Steps(denoiser.On(schedule), request, TestContext.Current.CancellationToken))
            states.Add(state.Denoised is null);

        times.Should().HaveCount(3);
        for (var k = 0; k < 3; k++)
            times[k].Should().BeApproximately(grid.Times[k] + Churn.Rise, 1e-6);
        states.Should().AllBeEquivalentTo(true);
    }

    /// <summary>eps = (x - alpha x_0) / sigma is the slope of x / alpha over sigma / alpha, in every process.</summary>
    private static double Ratio(NoiseLevel level) => level.Sigma / level.Alpha;

    /// <summary>Adams and Bashforth's second order formula for unequal steps; Euler's where there is no history yet.</summary>
    private sealed class LinearMultistep : ISolver
    {
        public int HistoryLength => 1;

        public Tensor Step(SolverStep step)
        {
            var (from, to) = (step.From, step.To);
            var h = Ratio(to) - Ratio(from);
            var weight = step.History.Count == 0 ? 0.0 : h / (2.0 * (Ratio(from) - Ratio(step.History[0].Prediction.Level)));
            var next = new LinearPair(to.Alpha / from.Alpha, to.Alpha * h * (1.0 + weight)).Apply(step.Sample, step.Current.Epsilon);
            return weight == 0.0 ? next : next.add_(step.History[0].Prediction.Epsilon, alpha: -to.Alpha * h * weight);
        }
    }

    /// <summary>DPM-Solver-2 with r = 1/2: the slope in the middle of the step, by log-SNR.</summary>
    private sealed class Midpoint : ISolver
    {
        public Tensor Step(SolverStep step)
        {
            var (from, to) = (step.From, step.To);
            var time = step.Grid.Schedule.TimeOf((from.LogSnr + to.LogSnr) / 2.0);
            var middle = step.Grid.Schedule.LevelAt(time);
            using var x = Move(step.Sample, step.Current.Epsilon, from, middle);
            using var evaluation = step.Evaluate(x, time);
            return Move(step.Sample, evaluation.Epsilon, from, to);
        }

        private static Tensor Move(Tensor x, Tensor slope, NoiseLevel from, NoiseLevel to)
            => new LinearPair(to.Alpha / from.Alpha, to.Alpha * (Ratio(to) - Ratio(from))).Apply(x, slope);
    }

    private sealed class Churn : ISolver
    {
        public const double Rise = 0.25;

        public Tensor Step(SolverStep step)
        {
            var time = step.Time + Rise;
            var level = step.Grid.Schedule.LevelAt(time);
            using var noise = step.Noise.Draw(step.Sample);
            using var x = step.Sample.clone();
            x.add_(noise, alpha: Math.Sqrt((level.Sigma * level.Sigma) - (step.From.Sigma * step.From.Sigma)));
            using var evaluation = step.Evaluate(x, time, level);
            return new LinearPair(step.To.Alpha, step.To.Sigma).Apply(evaluation.X0, evaluation.Epsilon);
        }
    }

    private sealed class Recorder(int length) : ISolver
    {
        private readonly DdimSolver _solver = new();

        public int HistoryLength => length;

        public List<List<(double Time, double[] Sample, double[] Data)>> Seen { get; } = [];

        public Tensor Step(SolverStep step)
        {
            Seen.Add([.. step.History.Select(past => (past.Prediction.Time, past.Sample.Values(), past.Prediction.X0.Values()))]);
            return _solver.Step(step);
        }
    }
}
