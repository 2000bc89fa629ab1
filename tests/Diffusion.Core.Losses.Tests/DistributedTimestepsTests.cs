using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Losses.Tests;

public sealed class DistributedTimestepsTests
{
    private static Dictionary<string, UnitDraws> Draws { get; } = new()
    {
        ["independent"] = UnitDraws.Independent,
        ["stratified"] = UnitDraws.Stratified,
        ["low-discrepancy"] = UnitDraws.LowDiscrepancy,
    };

    public static TheoryData<string> Names => [.. Draws.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Each_number_of_a_batch_is_drawn_evenly(string name)
    {
        using var generator = new torch.Generator(6);
        const int Batches = 3000;
        var (first, all) = (new List<double>(), new List<double>());
        for (var i = 0; i < Batches; i++)
        {
            var batch = Draws[name].Draw(4, generator);
            all.AddRange(batch);
            first.Add(batch[0]);
        }

        all.Should().OnlyContain(u => u >= 0.0 && u < 1.0);

        // 1.95 / sqrt(n) is exceeded by chance once in a thousand. The first of a stratified batch is in the first stratum.
        Distance(all).Should().BeLessThan(1.95 / Math.Sqrt(all.Count));
        Distance(name == "stratified" ? first.ConvertAll(u => 4.0 * u) : first).Should().BeLessThan(1.95 / Math.Sqrt(Batches));
    }

    [Theory]
    [InlineData("stratified")]
    [InlineData("low-discrepancy")]
    public void A_batch_has_one_number_in_each_of_its_parts(string name)
    {
        using var generator = new torch.Generator(6);
        for (var i = 0; i < 50; i++)
            Draws[name].Draw(7, generator).Select(u => (int)(u * 7.0)).Should().BeEquivalentTo(Enumerable.Range(0, 7));
    }

    [Fact]
    public void A_low_discrepancy_batch_is_evenly_spaced()
    {
        using var generator = new torch.Generator(6);

        var draws = UnitDraws.LowDiscrepancy.Draw(5, generator).Order().ToArray();

        for (var i = 1; i < 5; i++)
            (draws[i] - draws[i - 1]).Should().BeApproximately(0.2, 1e-15);
    }

    [Fact]
    public void Times_are_the_quantiles_of_the_draws_in_the_type_of_the_schedule()
    {
        using var scope = torch.NewDisposeScope();
        var (discrete, continuous) = (DiscreteSchedule.Linear(50), new RectifiedFlowSchedule());
        var sampler = TimestepSampler.FromDistribution(TimeDistribution.LogitNormal(), UnitDraws.Stratified);
        torch.Tensor Sample(INoiseSchedule schedule)
        {
            using var generator = new torch.Generator(9);
            return sampler.Sample(schedule, 6, generator);
        }

        using var again = new torch.Generator(9);
        var draws = UnitDraws.Stratified.Draw(6, again);

        Sample(discrete).dtype.Should().Be(torch.ScalarType.Int64);
        Sample(discrete).data<long>().ToArray()
            .Should().Equal(draws.Select(u => (long)TimeDistribution.LogitNormal().Quantile(discrete, u)));
        Sample(continuous).data<double>().ToArray()
            .Should().Equal(draws.Select(u => TimeDistribution.LogitNormal().Quantile(continuous, u)));
        LiveTensors.Change(() => Sample(discrete).Dispose()).Should().Be(0);
    }

    [Fact]
    public void Evenly_distributed_times_need_no_less_than_their_defaults()
    {
        using var generator = new torch.Generator(1);
        var sampler = TimestepSampler.FromDistribution();

        using var t = sampler.Sample(DiscreteSchedule.Linear(64), 64, generator);

        // One in each of 64 parts is each index once, as for the uniform distribution.
        t.data<long>().ToArray().Should().BeEquivalentTo(Enumerable.Range(0, 64).Select(i => (long)i));
    }

    [Fact]
    public void Low_discrepancy_makes_the_mean_over_a_batch_less_noisy()
    {
        using var generator = new torch.Generator(2);
        double Deviation(UnitDraws draws)
        {
            var means = Enumerable.Range(0, 400).Select(_ => draws.Draw(16, generator).Average(u => u * u)).ToArray();
            return Math.Sqrt(means.Average(mean => Math.Pow(mean - (1.0 / 3.0), 2.0)));
        }

        Deviation(UnitDraws.LowDiscrepancy).Should().BeLessThan(0.3 * Deviation(UnitDraws.Independent));
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Bad_arguments_are_refused()
    {
        using var generator = new torch.Generator(1);
        var sampler = TimestepSampler.FromDistribution();
        FluentActions.Invoking(() => sampler.Sample(null!, 1, generator)).Should().Throw<ArgumentNullException>();
        FluentActions.Invoking(() => sampler.Sample(DiscreteSchedule.Linear(), 1, null!)).Should().Throw<ArgumentNullException>();
        foreach (var draws in Draws.Values)
        {
            FluentActions.Invoking(() => draws.Draw(0, generator)).Should().Throw<ArgumentOutOfRangeException>();
            FluentActions.Invoking(() => draws.Draw(1, null!)).Should().Throw<ArgumentNullException>();
        }
    }

    private static double Distance(List<double> values)
    {
        var sorted = values.Order().ToArray();
        var size = (double)sorted.Length;
        return sorted.Select((value, i) => Math.Max(Math.Abs(value - (i / size)), Math.Abs(value - ((i + 1.0) / size)))).Max();
    }
}
