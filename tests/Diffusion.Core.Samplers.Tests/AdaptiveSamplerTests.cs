using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>Samplers that choose their own steps, on the probability flow of a mixture of Gaussians whose score is known.</summary>
[Collection(nameof(CountsTensors))]
public class AdaptiveSamplerTests(ITestOutputHelper output)
{
    private static readonly double[] _starts = [-19.0, -12.0, -5.5, -1.0, 3.5, 8.0, 16.0];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string> Names => ["dpm-12", "dpm-23", "rk45"];

    [Theory]
    [InlineData("dpm-12", 1e-2)]
    [InlineData("dpm-12", 1e-3)]
    [InlineData("dpm-23", 1e-2)]
    [InlineData("dpm-23", 1e-3)]
    [InlineData("dpm-23", 1e-5)]
    [InlineData("rk45", 1e-3)]
    [InlineData("rk45", 1e-5)]
    [InlineData("rk45", 1e-8)]
    public void A_sampler_reaches_its_tolerance_on_every_process(string name, double tolerance)
    {
        foreach (var preservesVariance in new[] { true, false })
        {
            var schedule = new LogSigmaSchedule(preservesVariance);
            var sampler = Create(name, tolerance, endsClean: false);
            var (start, end) = (schedule.LevelAt(schedule.MaxTime), schedule.LevelAt(schedule.MinTime));
            using var first = tensor(Array.ConvertAll(_starts, x => x * start.Alpha));
            var model = Exact(schedule, out var calls);
            using var result = sampler.Sample(model, new SamplingRequest { Shape = [7], InitialSample = first }, cancellationToken: Token);
            var error = result.Values().Zip(_starts, (x, x0) => Math.Abs((x / end.Alpha) - ProbabilityFlow.Solve(x0, start.NoiseToSignalRatio, end.NoiseToSignalRatio))).Max();

            output.WriteLine($"{name}, tolerance {tolerance:E0}, VP {preservesVariance}: error {error:E2}, {calls()} calls");

            // The sum of the errors of all steps, each of which is within the tolerance.
            error.Should().BeLessThan(20.0 * tolerance);
        }
    }

    [Fact]
    public void DPM_adaptive_takes_the_same_steps_on_every_process()
    {
        List<(double Ratio, double[] Values)> Steps(bool preservesVariance)
        {
            var schedule = new LogSigmaSchedule(preservesVariance);
            using var first = tensor(Array.ConvertAll(_starts, x => x * schedule.LevelAt(schedule.MaxTime).Alpha));
            var request = new SamplingRequest { Shape = [7], InitialSample = first };
            return
            [
                .. Create("dpm-23", 1e-3).Steps(Exact(schedule, out _), request, Token)
                    .Select(state => (state.Level.NoiseToSignalRatio, Array.ConvertAll(state.Sample.Values(), x => x / state.Level.Alpha))),
            ];
        }

        var (preserving, exploding) = (Steps(true), Steps(false));
        preserving.Should().HaveSameCount(exploding);
        foreach (var (a, b) in preserving.Zip(exploding))
        {
            a.Ratio.Should().BeApproximately(b.Ratio, 1e-8);
            a.Values.Zip(b.Values, (x, y) => Math.Abs(x - y)).Max().Should().BeLessThan(1e-6);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_flow_is_solved_from_pure_noise_too(bool isStraight)
    {
        // For N(m, s^2), x at the end is that far from m, in standard deviations, as the noise was from 0.
        INoiseSchedule schedule = isStraight ? new RectifiedFlowSchedule() : WithoutTerminalSignal();
        schedule.LevelAt(schedule.MaxTime).Alpha.Should().Be(0.0);
        using var first = tensor(new[] { -1.7, 0.0, 0.4, 2.2 });
        var sampler = new ProbabilityFlowSampler(
            new StepSizeControl { RelativeTolerance = 1e-7, AbsoluteTolerance = 1e-7 },
            new SamplerOptions { Threshold = Thresholding.None });
        using var result = sampler.Sample(
            new ExactDenoiser(schedule, ExactDenoiser.Gaussian(0.3, 0.5), Prediction.Velocity).Model,
            new SamplingRequest { Shape = [4], InitialSample = first },
            cancellationToken: Token);

        // A discrete schedule ends with the noise of its first index, from where x_0 is one step of Euler's.
        result.Values().Zip(first.Values(), (x, z) => Math.Abs(x - (0.3 + (0.5 * z)))).Max().Should().BeLessThan(isStraight ? 1e-6 : 1e-3);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_number_of_steps_is_known_when_they_end(string name)
    {
        foreach (var endsClean in new[] { true, false })
        {
            var schedule = new LogSigmaSchedule(preservesVariance: true);
            var steps = new List<(int Step, int Steps, NoiseLevel Level)>();
            foreach (var state in Create(name, 1e-2, endsClean).Steps(Exact(schedule, out _), Request(), Token))
                steps.Add((state.Step, state.Steps, state.Level));

            for (var k = 0; k < steps.Count; k++)
            {
                steps[k].Step.Should().Be(k);
                steps[k].Steps.Should().Be(k + 1 < steps.Count ? k + 1 : k);
                if (k > 0)
                    steps[k].Level.NoiseToSignalRatio.Should().BeLessThan(steps[k - 1].Level.NoiseToSignalRatio);
            }

            steps[^1].Level.Should().Be(endsClean ? NoiseLevel.Clean : schedule.LevelAt(schedule.MinTime));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_same_call_gives_the_same_bits_and_leaves_nothing_behind(string name)
    {
        var schedule = new LogSigmaSchedule(preservesVariance: true);
        var sampler = Create(name, 1e-2);
        double[] Result()
        {
            using var result = sampler.Sample(Exact(schedule, out _), Request(), cancellationToken: Token);
            return result.Values();
        }

        var first = Result();
        LiveTensors.Change(() => Result().Should().Equal(first)).Should().Be(0);
        LiveTensors.Change(() =>
        {
            foreach (var step in sampler.Steps(Exact(schedule, out _), Request(), Token))
            {
                using var state = step;
                if (state.Step == 2)
                    break;
            }
        }).Should().Be(0);
    }

    [Theory]
    [InlineData("dpm-12")]
    [InlineData("dpm-23")]
    public void With_noise_the_steps_go_on_to_the_distribution_of_the_data(string name)
    {
        var schedule = new EdmSchedule(0.01, 40.0);
        var sampler = new DpmAdaptiveSampler(
            name == "dpm-12" ? 2 : 3,
            eta: 1.0,
            control: new StepSizeControl { RelativeTolerance = 0.01, AbsoluteTolerance = 0.001 },
            options: new SamplerOptions { Threshold = Thresholding.None });
        using var noise = new BrownianTreeNoise(seed: 8, count: 1);
        using var result = sampler.Sample(
            new ExactDenoiser(schedule, ExactDenoiser.Gaussian(0.3, 0.5), Prediction.Epsilon).Model,
            new SamplingRequest { Shape = [1, 4_000], Noise = noise, Dtype = ScalarType.Float64 },
            cancellationToken: Token);

        var values = result.Values();
        values.Average().Should().BeApproximately(0.3, 0.04);
        Math.Sqrt(values.Average(x => Math.Pow(x - values.Average(), 2))).Should().BeApproximately(0.5, 0.03);
    }

    [Fact]
    public void The_caller_may_change_a_step()
    {
        var schedule = new LogSigmaSchedule(preservesVariance: true);
        foreach (var name in new[] { "dpm-23", "rk45" })
        {
            var seen = 0;
            LiveTensors.Change(() =>
            {
                using var result = Create(name, 1e-2, endsClean: false).Sample(
                    Exact(schedule, out _),
                    Request() with { OnStep = state => state.Step == state.Steps ? state.Sample.mul(0.0) : ++seen % 2 == 0 ? state.Sample.mul(0.9) : null },
                    cancellationToken: Token);
                result.Values().Should().AllBeEquivalentTo(0.0);
            }).Should().Be(0);
            seen.Should().BePositive();
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_settings_are_refused()
    {
        var network = new FunctionDenoiser(x => x.mul(0.5));
        var model = network.On(new LogSigmaSchedule(preservesVariance: true));
        foreach (var create in new Func<object>[]
        {
            () => new DpmAdaptiveSampler(order: 1),
            () => new DpmAdaptiveSampler(order: 4),
            () => new DpmAdaptiveSampler(eta: 1.1),
            () => new DpmAdaptiveSampler { NoiseScale = 0.0 },
            () => new DpmAdaptiveSampler { StartTime = 9.0 }.Steps(model, Request()),
            () => new DpmAdaptiveSampler { StartTime = 0.0, EndTime = 0.0 },
            () => new DpmAdaptiveSampler().Steps(network.On(new RectifiedFlowSchedule(), Prediction.Velocity), Request()),
            () => new DpmAdaptiveSampler().Steps(network.On(WithoutTerminalSignal()), Request()),
            () => new ProbabilityFlowSampler().Steps(network.On(WithoutTerminalSignal()), Request()),
            () => new ProbabilityFlowSampler().Steps(null!, Request()),
            () => new StepSizeControl { RelativeTolerance = 0.0 },
            () => new StepSizeControl { AbsoluteTolerance = -1.0 },
            () => new StepSizeControl { InitialStep = double.NaN },
            () => new StepSizeControl { MaxSteps = 0 },
        })
        {
            create.Should().Throw<ArgumentException>();
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_run_that_cannot_succeed_ends_with_an_error()
    {
        var schedule = new LogSigmaSchedule(preservesVariance: true);
        var impatient = new ProbabilityFlowSampler(
            new StepSizeControl { MaxSteps = 3 }, new SamplerOptions { Threshold = Thresholding.Static(1.0) });
        var few = () => impatient.Sample(Exact(schedule, out _), Request());
        var broken = () => Create("dpm-23", 1e-2).Sample(new FunctionDenoiser(x => x.mul(double.NaN)).On(schedule), Request());
        var missing = () => impatient.Steps(null!, Request());
        var shapeless = () => impatient.Steps(Exact(schedule, out _), new SamplingRequest { Shape = [] });
        using var source = new CancellationTokenSource();
        source.Cancel();
        var cancelled = () => impatient.Sample(Exact(schedule, out _), Request(), cancellationToken: source.Token);

        LiveTensors.Change(() => few.Should().Throw<InvalidOperationException>().WithMessage("*3 steps were not enough*")).Should().Be(0);
        LiveTensors.Change(() => broken.Should().Throw<InvalidOperationException>().WithMessage("*not finite*")).Should().Be(0);
        missing.Should().Throw<ArgumentNullException>();
        shapeless.Should().Throw<ArgumentException>();
        cancelled.Should().Throw<OperationCanceledException>();
    }

    private static AdaptiveSampler Create(string name, double tolerance, bool endsClean = true)
    {
        var control = new StepSizeControl { RelativeTolerance = tolerance, AbsoluteTolerance = tolerance };
        var options = new SamplerOptions { Threshold = Thresholding.None };
        return name == "rk45"
            ? new ProbabilityFlowSampler(control, options) { EndsClean = endsClean }
            : new DpmAdaptiveSampler(name == "dpm-12" ? 2 : 3, control: control, options: options) { EndsClean = endsClean };
    }

    private static SamplingRequest Request() => new() { Shape = [3, 2], Seed = 2, Dtype = ScalarType.Float64 };

    private static DiffusionModel Exact(INoiseSchedule schedule, out Func<int> calls)
    {
        var exact = new ExactDenoiser(schedule, ExactDenoiser.Mixture, Prediction.Epsilon);
        var counting = new FunctionDenoiser((x, t, condition) => exact.Predict(x, t, condition));
        calls = () => counting.Calls;
        return counting.On(schedule);
    }

    private static DiscreteSchedule WithoutTerminalSignal()
    {
        var betas = DiscreteSchedule.Cosine(200).Betas.ToArray();
        betas[^1] = 1.0;
        return DiscreteSchedule.FromBetas(betas);
    }
}
