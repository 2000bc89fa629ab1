using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>What a network predicts is a matter of notation: the same network in another form gives the same trajectory.</summary>
public class TrajectoryAgreementTests
{
    private const int Steps = 10;

    public static MatrixTheoryData<string, string, string, string> Combined
        => new(Combinations.Schedules.Keys, Combinations.Spacings.Keys, Combinations.Solvers.Keys, Combinations.Thresholds.Keys);

    [Theory]
    [MemberData(nameof(Combined))]
    public void One_network_in_any_form_gives_one_trajectory(string scheduleName, string spacing, string solver, string threshold)
    {
        var schedule = Combinations.Schedules[scheduleName];
        var grid = Combinations.Spacings[spacing].CreateGrid(schedule, Steps);
        var reference = Trajectory(Prediction.X0);

        // Methods of higher order compare slopes over sigma / alpha, which multiplies what rounding leaves of them by its square.
        var tolerance = Math.Max(1e-10, 1e-17 * Math.Pow(grid.Levels[0].NoiseToSignalRatio, 2));
        foreach (var (name, prediction) in Combinations.Predictions)
        {
            var trajectory = Trajectory(prediction);
            for (var k = 0; k <= Steps; k++)
                Difference(trajectory[k], reference[k]).Should().BeLessThan(tolerance, $"x after step {k} is the same, predicted as {name}");
        }

        List<double[]> Trajectory(Prediction prediction)
        {
            var sampler = new DiffusionSampler(
                grid, Combinations.Solvers[solver], new SamplerOptions { Threshold = Combinations.Thresholds[threshold] });
            var request = new SamplingRequest { Shape = [3, 2], Seed = 4, Dtype = ScalarType.Float64 };
            var model = new ExactDenoiser(schedule, ExactDenoiser.Mixture, prediction).Model;
            return
            [
                .. sampler.Steps(model, request, TestContext.Current.CancellationToken)
                    .Select(state => state.Sample.Values()),
            ];
        }
    }

    [Theory]
    [InlineData("static", 0.0)]
    [InlineData("dynamic", 0.0)]
    [InlineData("static", 0.5)]
    [InlineData("none", 0.0)]
    public void Keeping_the_networks_own_eps_beside_a_thresholded_x0_is_another_trajectory(string threshold, double eta)
    {
        var schedule = DiscreteSchedule.Linear();
        double[] Result(bool rederive)
        {
            var options = new SamplerOptions { Threshold = Combinations.Thresholds[threshold], RederiveNoise = rederive };
            var sampler = new DdimSampler(Steps, eta, options: options);
            var request = new SamplingRequest { Shape = [8], Seed = 1, Dtype = ScalarType.Float64 };
            return
            [
                .. sampler.Steps(new ExactDenoiser(schedule, ExactDenoiser.Mixture, Prediction.Epsilon).Model, request)
                    .SelectMany(state => state.Sample.Values()),
            ];
        }

        var difference = Difference(Result(true), Result(false));
        if (threshold == "none")
            difference.Should().Be(0.0);
        else
            difference.Should().BeGreaterThan(1e-3);
    }

    public static TheoryData<string> Solvers => [.. Combinations.Solvers.Keys];

    [Theory]
    [MemberData(nameof(Solvers))]
    public void A_schedule_that_ends_without_signal_works_with_x0_and_v(string solver)
    {
        var betas = DiscreteSchedule.Cosine(50).Betas.ToArray();
        betas[^1] = 1.0;
        var schedule = DiscreteSchedule.FromBetas(betas);
        schedule.Alpha(49).Should().Be(0.0);
        var grid = TimeSpacing.Trailing.CreateGrid(schedule, Steps);
        var sampler = new DiffusionSampler(grid, Combinations.Solvers[solver]);
        DiffusionModel Model(Prediction prediction)
            => new ExactDenoiser(schedule, ExactDenoiser.Mixture, prediction).Model.With(DataRange.Images);
        double[] Result(Prediction prediction)
        {
            using var result = sampler.Sample(
                Model(prediction),
                new SamplingRequest { Shape = [8], Dtype = ScalarType.Float64 },
                cancellationToken: TestContext.Current.CancellationToken);
            return result.Values();
        }

        var (data, velocity) = (Result(Prediction.X0), Result(Prediction.Velocity));
        data.Should().OnlyContain(x => double.IsFinite(x) && Math.Abs(x) <= 1.0);
        Difference(velocity, data).Should().BeLessThan(1e-10);

        var refused = () => sampler.Steps(Model(Prediction.Epsilon), new SamplingRequest { Shape = [8] });
        refused.Should().Throw<ArgumentException>().WithMessage("*'epsilon' does not determine x_0 and eps at time 49, where alpha is 0*");
    }

    /// <summary>The largest; not a number where either is not.</summary>
    private static double Difference(double[] a, double[] b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Aggregate(0.0, Math.Max);
}
