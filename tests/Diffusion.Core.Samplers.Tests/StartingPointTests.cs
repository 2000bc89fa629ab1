using Diffusion.Core.Models;
using Diffusion.Core.Samplers.Tests.Support;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

/// <summary>Where a trajectory starts, and what a caller may change on its way.</summary>
[Collection(nameof(CountsTensors))]
public class StartingPointTests
{
    private static readonly DiscreteSchedule _schedule = DiscreteSchedule.Linear();

    [Theory]
    [InlineData(1.0, 10)]
    [InlineData(0.6, 6)]
    [InlineData(0.29, 2)]
    [InlineData(0.01, 1)]
    public void Image_to_image_starts_from_data_noised_to_the_first_level_of_what_remains(double strength, int steps)
    {
        var whole = TimeSpacing.Trailing.CreateGrid(_schedule, 10);
        var grid = whole.StartingAt(strength);
        using var data = tensor(new[] { 0.5, -0.5 }).reshape(1, 2);
        using var noise = new ReplayNoise((_, _) => tensor(new[] { 0.25, 1.5 }).reshape(1, 2));
        var request = new SamplingRequest { Shape = [1, 2], InitialData = data, Noise = noise };
        grid.Count.Should().Be(steps);
        grid.Times.ToArray().Should().Equal(whole.Times.ToArray()[^steps..]);
        var (alpha, sigma) = grid.Levels[0];
        var values = new DiffusionSampler(grid, new DdimSolver())
            .Steps(Model(), request, TestContext.Current.CancellationToken).Select(state => state.Sample.Values()).First();
        values[0].Should().BeApproximately((alpha * 0.5) + (sigma * 0.25), 1e-12);
        values[1].Should().BeApproximately((alpha * -0.5) + (sigma * 1.5), 1e-12);
    }

    [Fact]
    public void The_caller_sees_each_step_and_may_put_another_sample_in_its_place()
    {
        var seen = new List<int>();
        var sampler = new DdimSampler(4);
        SamplingRequest Request(Func<SamplerState, Tensor?>? onStep) => new() { Shape = [1, 2], OnStep = onStep };
        LiveTensors.Change(() =>
        {
            using var plain = sampler.Sample(Model(), Request(null), cancellationToken: TestContext.Current.CancellationToken);
            using var watched = sampler.Sample(
                Model(),
                Request(state =>
                {
                    seen.Add(state.Step);
                    return null;
                }),
                cancellationToken: TestContext.Current.CancellationToken);
            using var changed = sampler.Sample(
                Model(),
                Request(state => state.Step == 4 ? state.Sample.mul(2.0) : null),
                cancellationToken: TestContext.Current.CancellationToken);
            watched.ShouldBeIdentical(plain, "watching changes nothing");
            using var twice = plain.mul(2.0);
            changed.ShouldBeIdentical(twice, "the last sample was replaced");
        }).Should().Be(0);
        seen.Should().Equal(1, 2, 3, 4);

        var wrong = () => sampler.Sample(Model(), Request(_ => zeros([2, 2])));
        wrong.Should().Throw<ArgumentException>().WithMessage("*OnStep*[1, 2]*[2, 2]*");
    }

    [Fact]
    public void A_request_starts_from_one_thing()
    {
        using var x = zeros([1, 2]);
        var both = () => new DdimSampler(2).Sample(
            Model(), new SamplingRequest { Shape = [1, 2], InitialData = x, InitialSample = x });
        both.Should().Throw<ArgumentException>().WithMessage("*both*");
        foreach (var strength in new[] { 0.0, -0.1, 1.1, double.NaN })
            ((Action)(() => TimeSpacing.Trailing.CreateGrid(_schedule, 5).StartingAt(strength))).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void Spherical_interpolation_keeps_the_length_and_cuts_the_angle_evenly()
    {
        using var a = tensor(new[] { 3.0, 0.0, 1.0, 1.0 }).reshape(2, 2);
        using var b = tensor(new[] { 0.0, 3.0, 1.0, 1.0 }).reshape(2, 2);
        foreach (var weight in new[] { 0.0, 0.25, 0.5, 1.0 })
        {
            using var between = Interpolation.Spherical(a, b, weight);
            var v = between.Values();
            v[0].Should().BeApproximately(3.0 * Math.Cos(weight * Math.PI / 2.0), 1e-12);
            v[1].Should().BeApproximately(3.0 * Math.Sin(weight * Math.PI / 2.0), 1e-12);
            v[2].Should().BeApproximately(1.0, 1e-12, "between a point and itself there is nothing");
            v[3].Should().BeApproximately(1.0, 1e-12);
        }

        ((Action)(() => Interpolation.Spherical(a, b, 1.5))).Should().Throw<ArgumentOutOfRangeException>();
    }

    private static DiffusionModel Model() => new FunctionDenoiser(x => x.mul(0.1)).On(_schedule).With(DataRange.Images);
}
