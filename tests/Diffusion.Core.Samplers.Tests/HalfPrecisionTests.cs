using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>In half precision the network computes, and the trajectory stays in float32.</summary>
public sealed class HalfPrecisionTests
{
    private static readonly Dictionary<string, (INoiseSchedule Schedule, Prediction Prediction)> _models = new()
    {
        ["cosine, 4000 steps, v"] = (DiscreteSchedule.Cosine(4000), Prediction.Velocity),
        ["cosine, 4000 steps, x0"] = (DiscreteSchedule.Cosine(4000), Prediction.X0),
        ["cosine, 4000 steps, eps"] = (DiscreteSchedule.Cosine(4000), Prediction.Epsilon),
        ["cosine, eps"] = (DiscreteSchedule.Cosine(), Prediction.Epsilon),
        ["linear, eps"] = (DiscreteSchedule.Linear(), Prediction.Epsilon),
        ["variance exploding, x0"] = (new VarianceExplodingSchedule(), Prediction.X0),
        ["edm"] = (new EdmSchedule(), Prediction.Edm()),
    };

    public static MatrixTheoryData<string, ScalarType> Cases => new(_models.Keys, [ScalarType.Float16, ScalarType.BFloat16]);

    /// <summary>
    /// The network rounds to 5e-4 and 4e-3, and methods of high order increase that. At the little signal of a cosine schedule, an x_0 from
    /// eps is the difference of almost equal numbers, and only finite; so is a step of a method that continues eps.
    /// </summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Samples_are_finite_and_near_those_of_float64_for_every_solver(string name, ScalarType type)
    {
        var (schedule, prediction) = _models[name];
        using var model = Exact(schedule, prediction);
        foreach (var (key, solver) in Every.Solvers)
        {
            var sampler = Sampler(schedule, solver, Thresholding.Static(1.0));

            using var narrow = Sample(sampler, model, type);
            using var wide = Sample(sampler, model, ScalarType.Float64);

            narrow.dtype.Should().Be(type);
            narrow.isfinite().all().item<bool>().Should().BeTrue(key);
            var isOfEps = prediction == Prediction.Epsilon || key.StartsWith("dpm-", StringComparison.Ordinal) || key.Contains("noise");
            if (name.StartsWith("cosine", StringComparison.Ordinal) && isOfEps)
                continue;
            var error = Math.Sqrt(narrow.to(ScalarType.Float64).sub(wide).square().mean().item<double>());
            error.Should().BeLessThan(type == ScalarType.Float16 ? 0.06 : 0.5, key);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Unclipped_samples_are_finite(string name, ScalarType type)
    {
        var (schedule, prediction) = _models[name];
        using var model = Exact(schedule, prediction);
        string[] ofEps = ["ddim", "ancestral, fixed small", "dpm++(2m)", "unipc-2"];
        foreach (var (key, solver) in Every.Solvers.Where(pair => prediction != Prediction.Epsilon || ofEps.Contains(pair.Key)))
        {
            var states = Sampler(schedule, solver, Thresholding.None).Steps(
                model, new SamplingRequest { Shape = [2, 3, 16, 16], Dtype = type }, TestContext.Current.CancellationToken);
            foreach (var state in states)
            {
                using (state)
                {
                    state.Sample.dtype.Should().Be(ScalarType.Float32);
                    state.Sample.isfinite().all().item<bool>().Should().BeTrue($"{key}, step {state.Step}");
                }
            }
        }
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void The_network_receives_the_type_of_the_request_and_the_result_has_it(ScalarType type)
    {
        var seen = new HashSet<ScalarType>();
        using var model = new FunctionDenoiser(x =>
        {
            seen.Add(x.dtype);
            return x.mul(0.5);
        }).On(DiscreteSchedule.Linear(50));
        using var start = randn([2, 3], dtype: type);
        var request = new SamplingRequest { Shape = [2, 3] };
        foreach (var given in (SamplingRequest[])[request with { Dtype = type }, request with { InitialSample = start }, request with { InitialData = start }])
        {
            foreach (var sampler in (ISampler[])[new DdimSampler(5), new ProbabilityFlowSampler(), new DpmAdaptiveSampler()])
            {
                using var sample = sampler.Sample(model, given, cancellationToken: TestContext.Current.CancellationToken);
                sample.dtype.Should().Be(type);
                sample.isfinite().all().item<bool>().Should().BeTrue();
            }
        }

        seen.Should().Equal(type);
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Guidance_in_half_precision_is_finite_for_large_predictions(ScalarType type)
    {
        using var scope = NewDisposeScope();
        var labels = Condition.OfLabels([1, 2]);
        var network = new FunctionDenoiser((x, _, condition) => x.mul(condition is null ? 150.0 : 250.0).to(type));
        using var model = network.On(DiscreteSchedule.Linear(50));
        foreach (var options in (GuidanceOptions[])[new() { Rescale = 0.7 }, new() { ZeroStar = true }, new() { Rescale = 1.0, ZeroStar = true }])
        {
            var guided = Guidance.ClassifierFree(model, 3.0, _ => null, options);
            var (x, t) = (ones(2, 64).mul(linspace(-1, 1, 64)), zeros([2], ScalarType.Int64));

            var narrow = guided.Network.Predict(x.to(type), t, labels);
            var wide = guided.Network.Predict(x.to(ScalarType.Float64), t, labels);

            narrow.ShouldBeClose(wide, 8.0, "relative to predictions of up to 450");
        }
    }

    /// <summary>The best network for data from N(0, 1/4), which is linear in x_t, rounded to the type of x_t.</summary>
    private static DiffusionModel Exact(INoiseSchedule schedule, Prediction prediction) => new FunctionDenoiser((x, t, _) =>
    {
        var time = t.Values()[0];
        var level = schedule.LevelAt(Math.Clamp(time, schedule.MinTime, schedule.MaxTime));
        var previous = schedule.PreviousLevel(time, level);
        var scale = prediction.InputScale?.Invoke(level) ?? 1.0;
        var gain = ExactDenoiser.Gaussian(0.0, 0.5)(1.0, level);
        var (ofX0, ofNoise) = prediction.Target(level, previous);
        var (ofX, ofGiven) = Prediction.EpsilonGivenX0(level);
        return x.to(ScalarType.Float64).mul(((ofX0 * gain) + (ofNoise * (ofX + (ofGiven * gain)))) / scale).to(x.dtype);
    }).On(schedule, prediction);

    private static DiffusionSampler Sampler(INoiseSchedule schedule, ISolver solver, Thresholding threshold) => new(
        TimeSpacing.Default.CreateGrid(schedule, 20).WithFinalLevel(schedule.LevelAt(schedule.MinTime)), solver, new SamplerOptions { Threshold = threshold });

    private static Tensor Sample(DiffusionSampler sampler, DiffusionModel model, ScalarType type) => sampler.Sample(
        model, new SamplingRequest { Shape = [2, 3, 8, 8], Seed = 3, Dtype = type }, cancellationToken: TestContext.Current.CancellationToken);
}
