using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class LossSecondMomentTimestepsTests
{
    private static readonly DiscreteSchedule Schedule = DiscreteSchedule.Linear(5);

    [Fact]
    public void All_times_are_alike_until_each_has_a_full_history()
    {
        using var sampler = new LossSecondMomentTimesteps(Schedule, historyLength: 2);
        Observe(sampler, [0, 1, 2, 3, 4, 0, 1, 2, 3], [9, 1, 1, 1, 1, 9, 1, 1, 1]);

        sampler.Probabilities().Should().Equal(0.2, 0.2, 0.2, 0.2, 0.2);

        Observe(sampler, [4], [1]);
        sampler.Probabilities()[0].Should().BeGreaterThan(0.5);
    }

    [Fact]
    public void The_chance_is_the_root_of_the_second_moment_of_the_last_losses()
    {
        using var sampler = new LossSecondMomentTimesteps(Schedule, historyLength: 2, uniformProbability: 0.1);

        // Of three losses of an index the first is forgotten.
        Observe(sampler, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0], [100, 1, 2, 3, 0, 3, 1, 2, 3, 0, 4]);

        double[] roots = [Math.Sqrt((9.0 + 16.0) / 2.0), 1.0, 2.0, 3.0, 0.0];
        var expected = roots.Select(root => (0.9 * root / roots.Sum()) + 0.02).ToArray();
        sampler.Probabilities().Zip(expected).Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-15);
        sampler.State["history"].data<double>().ToArray()[..2].Should().Equal(3.0, 4.0);
        using var t = torch.tensor(new long[] { 0, 4 }, dtype: torch.ScalarType.Int64);
        using var weights = sampler.Weights(t);
        weights.data<double>().ToArray().Zip([0.2 / expected[0], 0.2 / expected[4]])
            .Should().OnlyContain(pair => Math.Abs(pair.First - pair.Second) < 1e-12);
    }

    [Fact]
    public void Draws_follow_the_chances_and_weights_make_their_mean_that_of_even_draws()
    {
        using var scope = torch.NewDisposeScope();
        using var generator = new torch.Generator(8);
        using var sampler = Warm(uniformProbability: 0.1);
        const int Draws = 50_000;

        var t = sampler.Sample(Schedule, Draws, generator);
        var weights = sampler.Weights(t).data<double>().ToArray();

        var indices = t.data<long>().ToArray();
        var chances = sampler.Probabilities();

        // Pearson's statistic with 4 degrees of freedom: 99.99 % quantile 23.5.
        Enumerable.Range(0, 5).Sum(k => Math.Pow(indices.Count(index => index == k) - (Draws * chances[k]), 2.0) / (Draws * chances[k]))
            .Should().BeLessThan(23.5);
        double[] losses = [7.0, 1.0, -2.0, 0.5, 3.0];
        var values = indices.Select((index, i) => weights[i] * losses[index]).ToArray();
        var deviation = Math.Sqrt(values.Average(value => value * value) - Math.Pow(values.Average(), 2.0));
        values.Average().Should().BeApproximately(losses.Average(), 4.0 * deviation / Math.Sqrt(Draws));

        // Without chance: the weighted mean under the chances is the even mean.
        chances.Select((chance, k) => chance * losses[k] / (5.0 * chance)).Sum().Should().BeApproximately(losses.Average(), 1e-12);
    }

    [Fact]
    public void A_copied_state_goes_on_as_the_original()
    {
        using var original = Warm();
        using var restored = new LossSecondMomentTimesteps(Schedule, historyLength: 2);
        foreach (var (name, tensor) in original.State)
            restored.State[name].copy_(tensor);
        long[] Draw(LossSecondMomentTimesteps sampler)
        {
            using var generator = new torch.Generator(4);
            Observe(sampler, [2, 2, 1], [5, 6, 7]);
            using var t = sampler.Sample(Schedule, 50, generator);
            return t.data<long>().ToArray();
        }

        Draw(restored).Should().Equal(Draw(original));
        restored.Probabilities().Should().Equal(original.Probabilities());
    }

    [Fact]
    public void Losses_that_are_not_finite_are_left_out()
    {
        using var sampler = Warm();
        var before = sampler.Probabilities();

        Observe(sampler, [0, 1, 2], [double.NaN, double.PositiveInfinity, double.NegativeInfinity]);

        sampler.Probabilities().Should().Equal(before);
    }

    [Fact]
    public void Losses_of_zero_everywhere_leave_all_times_alike()
    {
        using var sampler = new LossSecondMomentTimesteps(Schedule, historyLength: 1, uniformProbability: 0.0);
        Observe(sampler, [0, 1, 2, 3, 4], [0, 0, 0, 0, 0]);

        sampler.Probabilities().Should().OnlyContain(chance => chance == 0.2);
    }

    [Fact]
    public void An_index_without_a_chance_is_never_drawn()
    {
        using var generator = new torch.Generator(8);
        using var sampler = new LossSecondMomentTimesteps(Schedule, historyLength: 1, uniformProbability: 0.0);
        Observe(sampler, [0, 1, 2, 3, 4], [0, 1, 0, 1, 0]);

        using var t = sampler.Sample(Schedule, 2000, generator);

        t.data<long>().ToArray().Distinct().Should().BeEquivalentTo(new long[] { 1, 3 });
    }

    [Fact]
    public void Nothing_is_left_behind()
    {
        using var generator = new torch.Generator(8);
        LiveTensors.Change(() =>
        {
            using var sampler = Warm();
            using var t = sampler.Sample(Schedule, 10, generator);
            using var weights = sampler.Weights(t);
        }).Should().Be(0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_does_not_fit_is_refused()
    {
        using var scope = torch.NewDisposeScope();
        using var generator = new torch.Generator(8);
        using var sampler = Warm();
        FluentActions.Invoking(() => sampler.Sample(DiscreteSchedule.Linear(6), 1, generator))
            .Should().Throw<ArgumentException>().WithMessage("*5 steps*");
        FluentActions.Invoking(() => sampler.Sample(new LinearVpSchedule(), 1, generator)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => Observe(sampler, [5], [1])).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => Observe(sampler, [1, 2], [1])).Should().Throw<ArgumentException>().WithMessage("*[2], got [1]*");
        FluentActions.Invoking(() => sampler.Weights(torch.ones([2]))).Should().Throw<ArgumentException>().WithMessage("*Int64*");
        FluentActions.Invoking(() => new LossSecondMomentTimesteps(Schedule, 0)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new LossSecondMomentTimesteps(Schedule, 1, 1.5)).Should().Throw<ArgumentOutOfRangeException>();
    }

    private static LossSecondMomentTimesteps Warm(double uniformProbability = 1e-3)
    {
        var sampler = new LossSecondMomentTimesteps(Schedule, historyLength: 2, uniformProbability);
        Observe(sampler, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4], [1, 2, 3, 4, 5, 2, 2, 2, 2, 0]);
        return sampler;
    }

    private static void Observe(LossSecondMomentTimesteps sampler, long[] t, double[] losses)
    {
        using var times = torch.tensor(t, dtype: torch.ScalarType.Int64);
        using var values = torch.tensor(losses, dtype: torch.ScalarType.Float64);
        sampler.Observe(times, values);
    }
}
