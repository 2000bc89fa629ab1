using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

public sealed class ProbabilityFlowLikelihoodTests
{
    private static readonly LogSigmaSchedule Exploding = new(preservesVariance: false);
    private static readonly double Start = Math.Log(0.05);
    private static readonly double End = Math.Log(10.0);

    [Fact]
    public void With_tolerances_the_density_of_the_mixture_is_exact()
        => LogDensity(new DormandPrince(1e-8, 1e-8), -1.3).Should().BeApproximately(-1.102009, 1e-6);

    [Theory]
    [InlineData("rk4", 50, -1.102008)]
    [InlineData("heun", 100, -1.101203)]
    [InlineData("euler", 100, -1.050906)]
    public void Fixed_steps_have_the_error_of_their_order(string method, int steps, double expected)
    {
        var tableau = method switch
        {
            "rk4" => ButcherTableau.RungeKutta4,
            "heun" => ButcherTableau.Heun,
            _ => ButcherTableau.Euler,
        };

        LogDensity(new RungeKutta(tableau, steps), -1.3).Should().BeApproximately(expected, 1e-6);
    }

    public static TheoryData<string, string> Combinations
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var schedule in Schedules.Keys)
            {
                foreach (var prediction in Predictions.Keys)
                    data.Add(schedule, prediction);
            }

            return data;
        }
    }

    private static Dictionary<string, INoiseSchedule> Schedules { get; } = new()
    {
        ["exploding"] = Exploding,
        ["preserving"] = new LogSigmaSchedule(preservesVariance: true),
        ["linear"] = DiscreteSchedule.Linear(),
        ["vp"] = new LinearVpSchedule(),
        ["straight"] = new RectifiedFlowSchedule(),
    };

    private static Dictionary<string, Prediction> Predictions { get; } = new()
    {
        ["epsilon"] = Prediction.Epsilon,
        ["data"] = Prediction.X0,
        ["velocity"] = Prediction.Velocity,
        ["score"] = Prediction.Score,
        ["flow-velocity"] = Prediction.FlowVelocity,
        ["edm"] = Prediction.Edm(),
    };

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Gaussian_data_has_its_closed_form_on_every_schedule_in_every_prediction(string scheduleName, string predictionName)
    {
        using var scope = NewDisposeScope();
        var (schedule, prediction) = (Schedules[scheduleName], Predictions[predictionName]);
        var (first, last) = (schedule.TimeOf(2.0 * Math.Log(1.0 / 0.05)), schedule.TimeOf(2.0 * Math.Log(1.0 / 9.9)));
        var denoiser = MixtureDenoiser.Gaussian(schedule, prediction, 0.3, 0.5);
        using var model = denoiser.Model;
        var options = new ProbabilityFlowOptions
        {
            Solver = new DormandPrince(1e-9, 1e-9),
            Trace = TraceEstimator.Exact,
            MinTime = first,
            MaxTime = last,
            LogPrior = latent => LogDensities(denoiser, schedule.LevelAt(last), latent),
        };
        var samples = tensor(new[] { -0.9, 0.2, 0.7, 1.4, 0.3, 0.3 }).reshape(2, 3);

        var bits = new ProbabilityFlowLikelihood(options).BitsPerDim(model, samples, new LikelihoodRequest(), TestContext.Current.CancellationToken);

        // In x / alpha the data is N(.3, .5^2 + .05^2).
        var variance = 0.25 + Math.Pow(schedule.LevelAt(first).NoiseToSignalRatio, 2.0);
        double Expected(params double[] x) => x.Average(
            value => 0.5 * Math.Log2(2.0 * Math.PI * variance) + (0.5 / Math.Log(2.0) * Math.Pow(value - 0.3, 2.0) / variance));
        bits.ShouldBeClose(tensor(new[] { Expected(-0.9, 0.2, 0.7), Expected(1.4, 0.3, 0.3) }), 1e-7, "bits/dim");
    }

    [Fact]
    public void Without_a_prior_of_its_own_the_end_is_taken_for_noise()
    {
        using var scope = NewDisposeScope();
        var schedule = DiscreteSchedule.Linear();
        using var model = MixtureDenoiser.Gaussian(schedule, Prediction.Epsilon, 0.3, 0.5).Model;
        var options = new ProbabilityFlowOptions { Solver = new DormandPrince(1e-9, 1e-9), Trace = TraceEstimator.Exact };
        var samples = tensor(new[] { -0.9, 0.2, 0.7 }).reshape(3, 1);

        var density = new ProbabilityFlowLikelihood(options).LogDensity(model, samples, new LikelihoodRequest(), TestContext.Current.CancellationToken);

        // The flow of a Gaussian is affine: x at the end, in units of its spread, is that of the data; the prior is N(0, 1) instead.
        var (first, last) = (schedule.LevelAt(0), schedule.LevelAt(999));
        var from = Math.Sqrt(0.25 + Math.Pow(first.NoiseToSignalRatio, 2.0));
        var to = Math.Sqrt(Math.Pow(last.Alpha * 0.5, 2.0) + Math.Pow(last.Sigma, 2.0));
        var expected = samples.Values().Select(x =>
        {
            var latent = (last.Alpha * 0.3) + (to * (x - 0.3) / from);
            return (-0.5 * latent * latent) - (0.5 * Math.Log(2.0 * Math.PI)) + Math.Log(to / from);
        });
        density.ShouldBeClose(tensor(expected.ToArray()), 1e-7, "log density");
    }

    [Fact]
    public void The_density_of_a_mixture_integrates_to_one()
    {
        using var scope = NewDisposeScope();
        var grid = Enumerable.Range(0, 601).Select(i => -3.0 + (0.01 * i)).ToArray();
        var denoiser = MixtureDenoiser.OfTable(Exploding, Prediction.X0);
        using var model = denoiser.Model;

        var density = new ProbabilityFlowLikelihood(Options(denoiser, new DormandPrince(1e-6, 1e-6)))
            .LogDensity(model, tensor(grid).reshape(-1, 1), new LikelihoodRequest(), TestContext.Current.CancellationToken).exp().Values();

        (density.Sum() * 0.01).Should().BeApproximately(1.0, 2e-5);
    }

    [Fact]
    public void The_network_sees_the_type_of_the_samples_and_single_precision_is_enough()
    {
        using var scope = NewDisposeScope();
        var denoiser = MixtureDenoiser.OfTable(Exploding, Prediction.Epsilon);
        using var model = denoiser.Model;
        var likelihood = new ProbabilityFlowLikelihood(Options(denoiser, new DormandPrince(1e-5, 1e-5)));

        var density = likelihood.LogDensity(model, tensor(new[] { -1.3f }).reshape(1, 1), new LikelihoodRequest(), TestContext.Current.CancellationToken);

        density.dtype.Should().Be(ScalarType.Float64);
        density.item<double>().Should().BeApproximately(-1.102009, 1e-4);
    }

    [Fact]
    public void A_network_with_a_constant_output_is_no_fault_where_it_has_a_gradient()
    {
        using var scope = NewDisposeScope();
        var options = new ProbabilityFlowOptions
        {
            Trace = TraceEstimator.Exact,
            MinTime = Start,
            MaxTime = End,
            Solver = new DormandPrince(1e-9, 1e-9),
        };
        using var model = new FunctionDenoiser(x => x.mul(0.0)).On(Exploding, Prediction.X0);
        var samples = tensor(new[] { 0.01, -0.02 }).reshape(2, 1);

        var density = new ProbabilityFlowLikelihood(options).LogDensity(model, samples, new LikelihoodRequest(), TestContext.Current.CancellationToken);

        // y grows by 200 from one end to the other, into N(0, 101).
        var expected = samples.Values()
            .Select(x => Math.Log(200.0) - (0.5 * Math.Pow(200.0 * x, 2.0) / 101.0) - (0.5 * Math.Log(2.0 * Math.PI * 101.0)));
        density.ShouldBeClose(tensor(expected.ToArray()), 1e-7, "log density");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_flow_without_noise_at_its_start_or_signal_at_its_end_is_refused()
    {
        using var samples = zeros([1, 1], dtype: ScalarType.Float64);
        var denoiser = new FunctionDenoiser(x => x.clone());
        Action Evaluation(INoiseSchedule schedule, ProbabilityFlowOptions? options = null) => () =>
        {
            using var model = denoiser.On(schedule);
            new ProbabilityFlowLikelihood(options).LogDensity(model, samples, new LikelihoodRequest(), TestContext.Current.CancellationToken).Dispose();
        };

        Evaluation(new LinearVpSchedule()).Should().Throw<ArgumentException>().WithMessage("*got 0 and*MinTime*");
        var fromLittle = new ProbabilityFlowOptions { MinTime = 0.01 };
        Evaluation(new RectifiedFlowSchedule(), fromLittle).Should().Throw<ArgumentException>();
        var backwards = new ProbabilityFlowOptions { MinTime = End, MaxTime = Start };
        Evaluation(Exploding, backwards).Should().Throw<ArgumentException>();
        denoiser.Calls.Should().Be(0);
        FluentActions.Invoking(() => new ProbabilityFlowLikelihood().LogDensity(null!, samples, new LikelihoodRequest(), TestContext.Current.CancellationToken))
            .Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void A_cancelled_evaluation_ends_and_nothing_is_left_behind()
    {
        using var samples = tensor(new[] { -1.3, 0.2 }).reshape(2, 1);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        var denoiser = MixtureDenoiser.OfTable(Exploding, Prediction.Epsilon);
        using var model = new Scoped(denoiser).On(Exploding);
        void Evaluate(CancellationToken token)
        {
            using var density = new ProbabilityFlowLikelihood(Options(denoiser, new DormandPrince()) with { LogPrior = null })
                .LogDensity(model, samples, new LikelihoodRequest(), token);
        }

        Evaluate(CancellationToken.None);

        LiveTensors.Change(() => Evaluate(CancellationToken.None)).Should().Be(0);
        LiveTensors.Change(() => FluentActions.Invoking(() => Evaluate(cancelled.Token))
            .Should().Throw<OperationCanceledException>()).Should().Be(0);
    }

    private static Tensor LogDensities(MixtureDenoiser denoiser, NoiseLevel level, Tensor latent)
    {
        var size = (int)latent.shape[1];
        return tensor(latent.Values().Chunk(size).Select(row => denoiser.LogDensity(level, row)).ToArray());
    }

    private static ProbabilityFlowOptions Options(MixtureDenoiser denoiser, IOdeSolver solver) => new()
    {
        Solver = solver,
        Trace = TraceEstimator.Exact,
        MinTime = Start,
        MaxTime = End,
        LogPrior = latent => LogDensities(denoiser, Exploding.LevelAt(End), latent),
    };

    private static double LogDensity(IOdeSolver solver, double x)
    {
        using var scope = NewDisposeScope();
        var denoiser = MixtureDenoiser.OfTable(Exploding, Prediction.Epsilon);
        using var model = denoiser.Model;
        return new ProbabilityFlowLikelihood(Options(denoiser, solver))
            .LogDensity(model, tensor(new[] { x }).reshape(1, 1), new LikelihoodRequest(), TestContext.Current.CancellationToken).item<double>();
    }

    /// <summary>A denoiser whose temporary tensors are gone when it returns, as a denoiser's should be.</summary>
    private sealed class Scoped(IDenoiser inner) : IDenoiser
    {
        public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
        {
            using var scope = NewDisposeScope();
            return inner.Predict(xt, t, condition).MoveToOuterDisposeScope();
        }
    }
}
