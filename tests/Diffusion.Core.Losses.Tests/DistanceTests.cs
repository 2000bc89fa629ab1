using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class DistanceTests
{
    private static readonly double[] Differences = [-3.0, -1.0, -0.4, -1e-3, 0.0, 1e-3, 0.25, 0.5, 2.0, 40.0];

    private static Dictionary<string, (Distance Distance, Func<double, double> Value)> All { get; } = new()
    {
        ["l2"] = (Distance.L2, d => d * d),
        ["l1"] = (Distance.L1, Math.Abs),
        ["huber"] = (Distance.Huber(0.5), d => Math.Abs(d) <= 0.5 ? 0.5 * d * d : 0.5 * (Math.Abs(d) - 0.25)),
        ["pseudo-huber"] = (Distance.PseudoHuber(0.3), d => Math.Sqrt((d * d) + 0.09) - 0.3),
    };

    public static TheoryData<string> Names => [.. All.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Each_element_has_the_distance_of_the_formula(string name)
    {
        using var scope = torch.NewDisposeScope();
        var (distance, value) = All[name];

        var result = distance.Of(torch.tensor(Differences));

        distance.Name.Should().Be(name);
        result.data<double>().ToArray().Zip(Differences.Select(value)).Should()
            .OnlyContain(pair => Math.Abs(pair.First - pair.Second) <= 1e-15 * Math.Max(1.0, pair.Second));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_gradient_is_that_of_the_formula(string name)
    {
        using var scope = torch.NewDisposeScope();
        var (distance, value) = All[name];

        // Away from the kinks of |d| and of Huber's distance, where it has no second derivative.
        double[] smooth = [-3.0, -0.8, -0.3, 0.2, 0.7, 2.0];
        var differences = torch.tensor(smooth).requires_grad_();
        distance.Of(differences).sum().backward();

        var gradient = differences.grad!.data<double>().ToArray();
        for (var i = 0; i < smooth.Length; i++)
            gradient[i].Should().BeApproximately((value(smooth[i] + 1e-5) - value(smooth[i] - 1e-5)) / 2e-5, 1e-9);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_answer_is_a_new_tensor_and_all_that_is_left(string name)
    {
        using var differences = torch.tensor(Differences);
        var before = differences.data<double>().ToArray();
        torch.Tensor? result = null;

        LiveTensors.Change(() => result = All[name].Distance.Of(differences)).Should().Be(1);

        result!.Dispose();
        differences.data<double>().ToArray().Should().Equal(before);
    }

    [Fact]
    public void Hubers_distance_has_a_gradient_of_no_more_than_delta_and_joins_smoothly()
    {
        using var scope = torch.NewDisposeScope();
        var differences = torch.tensor(new[] { 0.5 - 1e-9, 0.5 + 1e-9, 1e6, -1e6 }).requires_grad_();

        Distance.Huber(0.5).Of(differences).sum().backward();

        differences.grad!.data<double>().ToArray().Zip([0.5, 0.5, 0.5, -0.5])
            .Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-8);
    }

    [Theory]
    [Trait(Category.Name, Category.Fault)]
    [InlineData(0.0)]
    [InlineData(-1.0)]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_scale_that_is_not_positive_is_refused(double scale)
    {
        FluentActions.Invoking(() => Distance.Huber(scale)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => Distance.PseudoHuber(scale)).Should().Throw<ArgumentOutOfRangeException>();
    }
}
