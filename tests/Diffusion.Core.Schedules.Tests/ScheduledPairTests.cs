using static TorchSharp.torch;

namespace Diffusion.Core.Schedules.Tests;

/// <summary>Pairs whose coefficients are 0 and 1 at every t, for which nothing is computed.</summary>
public sealed class ScheduledPairTests
{
    private static readonly DiscreteSchedule s_schedule = DiscreteSchedule.Linear(10);

    [Theory]
    [InlineData(0.0, 1.0)]
    [InlineData(1.0, 0.0)]
    [InlineData(1.0, 1.0)]
    [InlineData(0.5, 0.0)]
    public void Constant_coefficients_give_what_computing_gives(double first, double second)
    {
        using var scope = NewDisposeScope();
        using var pair = new ScheduledPair(s_schedule, (_, _) => new LinearPair(first, second));
        var t = tensor(new long[] { 0, 9 });
        var (a, b) = (tensor(new double[] { 1, 2, 3, 4 }).view(2, 2).requires_grad_(), tensor(new double[] { 5, 6, 7, 8 }).view(2, 2).requires_grad_());

        var result = pair.Apply(t, a, b);

        result.data<double>().ToArray().Should().Equal(a.mul(first).add(b.mul(second)).data<double>().ToArray());
        (first == 0.0 ? b : a).requires_grad.Should().Be(result.requires_grad);
        result.sum().backward();
        (first == 0.0 ? b : a).grad!.data<double>().ToArray().Should().OnlyContain(g => g == (first == 0.0 ? second : first));
    }

    [Fact]
    public void What_they_give_is_the_callers_to_change()
    {
        using var scope = NewDisposeScope();
        using var pair = new ScheduledPair(s_schedule, Prediction.Epsilon.Target);
        var t = tensor(new long[] { 3 });
        var (data, noise) = (zeros([1, 2], ScalarType.Float32), ones([1, 2], ScalarType.Float32));

        pair.Apply(t, data, noise).mul_(5);

        noise.data<float>().ToArray().Should().Equal(1, 1);
    }

    [Fact]
    public void They_refuse_what_others_refuse()
    {
        using var scope = NewDisposeScope();
        var x = zeros([2, 3], ScalarType.Float32);
        foreach (var prediction in new[] { Prediction.Epsilon, Prediction.X0, Prediction.Velocity })
        {
            var pair = new ScheduledPair(s_schedule, prediction.Target);
            FluentActions.Invoking(() => pair.Apply(tensor(new long[] { 0, 10 }), x, x)).Should().Throw<ArgumentOutOfRangeException>();
            FluentActions.Invoking(() => pair.Apply(tensor(new long[] { -1, 0 }), x, x)).Should().Throw<ArgumentOutOfRangeException>();
            FluentActions.Invoking(() => pair.Apply(tensor(new long[] { 0 }), x, x)).Should().Throw<ArgumentException>();
            FluentActions.Invoking(() => pair.Apply(tensor(new float[] { 0, 1 }), x, x)).Should().Throw<ArgumentException>();
            FluentActions.Invoking(() => pair.Apply(tensor(new long[] { 0, 1 }), x, zeros([2, 1]))).Should().Throw<ArgumentException>();
            pair.Dispose();
            FluentActions.Invoking(() => pair.Apply(tensor(new long[] { 0, 1 }), x, x)).Should().Throw<ObjectDisposedException>();
        }
    }
}
