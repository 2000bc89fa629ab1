using System.Text.Json;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Schedules.Tests;

public sealed class RespacingTests
{
    private const double Tolerance = 1e-12;

    public static TheoryData<int, string, int[]> ReferenceSteps
    {
        get
        {
            var result = new TheoryData<int, string, int[]>();
            using var file = JsonDocument.Parse(File.ReadAllText(Path.Combine(TestData.Golden, "process", "respace.json")));
            foreach (var entry in file.RootElement.EnumerateArray())
            {
                result.Add(
                    entry.GetProperty("T").GetInt32(),
                    entry.GetProperty("spec").GetString()!,
                    [.. entry.GetProperty("steps").EnumerateArray().Select(step => step.GetInt32())]);
            }

            return result;
        }
    }

    public static TheoryData<string> Files => GoldenFile.Find("process", "respaced-*.safetensors");

    [Theory]
    [Trait(Category.Name, Category.Golden)]
    [MemberData(nameof(ReferenceSteps))]
    public void The_steps_kept_are_those_of_the_reference(int steps, string text, int[] expected)
        => Respacing.Parse(text, steps).Should().Equal(expected);

    [Theory]
    [Trait(Category.Name, Category.Golden)]
    [MemberData(nameof(Files))]
    public void Tables_of_fewer_steps_equal_the_reference(string path)
    {
        using var golden = new GoldenFile(path);
        var schedule = OpenAiCase.Schedule(golden.Case).Respaced(golden.Case.GetProperty("spec").GetString()!);

        RelativeError.OfEach(schedule.Betas, golden.Values("betas")).Should().BeLessThan(Tolerance);
        RelativeError.OfEach(schedule.AlphaBars, golden.Values("alphas_cumprod")).Should().BeLessThan(Tolerance);
        Enumerable.Range(0, schedule.Steps).Select(t => schedule.ModelTimestep(t)).Should().Equal(golden.Values("timestep_map"));
    }

    [Theory]
    [InlineData("1", 10, new[] { 0 })]
    [InlineData("10", 10, new[] { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 })]
    [InlineData("3", 6, new[] { 0, 2, 5 })]
    [InlineData("3", 8, new[] { 0, 4, 7 })]
    [InlineData("1,1,1", 10, new[] { 0, 4, 7 })]
    [InlineData("0,2", 10, new[] { 5, 9 })]
    [InlineData(" 2 , 3 ", 7, new[] { 0, 3, 4, 5, 6 })]
    [InlineData("ddim4", 10, new[] { 0, 3, 6, 9 })]
    [InlineData("ddim10", 10, new[] { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 })]
    public void A_text_says_which_steps_are_kept(string text, int steps, int[] expected)
        => Respacing.Parse(text, steps).Should().Equal(expected);

    [Theory]
    [InlineData("")]
    [InlineData("ten")]
    [InlineData("10,")]
    [InlineData("ddim")]
    [InlineData("1.5")]
    [InlineData("-3")]
    [InlineData("ddim-3")]
    public void Another_text_is_refused(string text)
        => FluentActions.Invoking(() => Respacing.Parse(text, 100)).Should().Throw<FormatException>().WithMessage($"*got \"{text}\".");

    [Theory]
    [InlineData("11", 10, "*Part 0 has 10 of the 10 steps, got 11*")]
    [InlineData("2,6", 11, "*Part 1 has 5 of the 11 steps, got 6*")]
    [InlineData("ddim6", 10, "*No whole stride takes 6 of 10*")]
    [InlineData("ddim0", 10, "*No whole stride takes 0 of 10*")]
    [InlineData("1", 0, "*steps*")]
    public void More_steps_than_there_are_are_refused(string text, int steps, string message)
        => FluentActions.Invoking(() => Respacing.Parse(text, steps)).Should().Throw<ArgumentException>().WithMessage(message);

    [Theory]
    [MemberData(nameof(ScheduleNames.Discrete), MemberType = typeof(ScheduleNames))]
    public void Fewer_steps_have_the_levels_of_the_steps_kept_and_all_steps_change_nothing(string name)
    {
        var schedule = TestSchedules.Make(name);
        var kept = Enumerable.Range(0, schedule.Steps).Where(t => t % 7 == 3 || t == schedule.Steps - 1).ToArray();

        var few = schedule.Respaced(kept);
        var all = schedule.Respaced($"{schedule.Steps}");

        few.IsRespaced.Should().BeTrue();
        RelativeError.OfEach(all.Betas, schedule.Betas).Should().BeLessThan(3e-10, "1 - beta is a quotient of abars");
        RelativeError.OfEach(all.AlphaBars, schedule.AlphaBars).Should().BeLessThan(1e-12);
        for (var i = 0; i < kept.Length; i++)
        {
            RelativeError.OfEach([few.AlphaBars[i]], [schedule.AlphaBars[kept[i]]]).Should().BeLessThan(2e-12);
            few.ModelTimestep(i).Should().Be(schedule.ModelTimestep(kept[i]));

            // The posterior of a long step is the same formula between the two levels.
            var before = i == 0 ? NoiseLevel.Clean : schedule.LevelAt(kept[i - 1]);
            var (first, second) = GaussianTransition.PosteriorMean(schedule.LevelAt(kept[i]), before);
            few.PosteriorMeanCoefficient1[i].Should().BeApproximately(first, 1e-9);
            few.PosteriorMeanCoefficient2[i].Should().BeApproximately(second, 1e-9);
            few.PosteriorVariance[i].Should().BeApproximately(
                GaussianTransition.PosteriorVariance(schedule.LevelAt(kept[i]), before), 1e-11);
        }
    }

    [Fact]
    public void Steps_of_steps_know_the_first_schedule()
    {
        var twice = DiscreteSchedule.Linear().Respaced("ddim100").Respaced([3, 50, 99]);

        Enumerable.Range(0, 3).Select(t => twice.ModelTimestep(t)).Should().Equal(30.0, 500.0, 990.0);
        twice.ModelTimestep(0.5).Should().Be(265.0);
        twice.RescaledToZeroTerminalSnr().ModelTimestep(1).Should().Be(500.0);
        DiscreteSchedule.Linear().ModelTimestep(12.5).Should().Be(12.5);
        DiscreteSchedule.Linear().IsRespaced.Should().BeFalse();
    }

    [Fact]
    public void Timesteps_that_are_not_whole_numbers_are_not_truncated()
    {
        using var scope = torch.NewDisposeScope();
        using var process = new ForwardProcess(DiscreteSchedule.FromTable([0.1, 0.2, 0.3], [0.0, 0.25, 1.5]));

        process.ModelTimesteps(TestTensors.Times(2, 0, 1)).data<double>().ToArray().Should().Equal(1.5, 0.0, 0.25);
    }

    [Fact]
    public void A_batch_is_told_the_indices_of_the_first_schedule()
    {
        using var scope = torch.NewDisposeScope();
        using var few = new ForwardProcess(DiscreteSchedule.Linear().Respaced("ddim50"));
        using var plain = new ForwardProcess(DiscreteSchedule.Linear());
        using var shifted = new ForwardProcess(new RectifiedFlowSchedule(1000.0, TimestepShift.Static(3.0)));
        var t = TestTensors.Times(49, 0, 7);

        few.ModelTimesteps(t).data<long>().ToArray().Should().Equal(980, 0, 140);
        plain.ModelTimesteps(t).data<long>().ToArray().Should().Equal(49, 0, 7);
        shifted.ModelTimesteps(TestTensors.Values(0.0, 500.0, 1000.0)).data<double>().ToArray().Should().Equal(0.0, 750.0, 1000.0);
        FluentActions.Invoking(() => few.ModelTimesteps(TestTensors.Times(50))).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => few.ModelTimesteps(TestTensors.Values(1.0))).Should().Throw<ArgumentException>().WithMessage("*Int64*");
        LiveTensors.Change(() =>
        {
            few.ModelTimesteps(t).Dispose();
            plain.ModelTimesteps(t).Dispose();
        }).Should().Be(0);
    }

    [Theory]
    [InlineData(new int[0], "*at least one step*")]
    [InlineData(new[] { 3, 3 }, "*must rise and lie in [0, 9], got 3 after 3*")]
    [InlineData(new[] { 3, 2 }, "*got 2 after 3*")]
    [InlineData(new[] { -1, 2 }, "*got -1.*")]
    [InlineData(new[] { 1, 10 }, "*got 10 after 1*")]
    public void Steps_that_do_not_rise_within_the_schedule_are_refused(int[] steps, string message)
        => FluentActions.Invoking(() => DiscreteSchedule.Linear(10).Respaced(steps))
            .Should().Throw<ArgumentException>().WithMessage(message);
}
