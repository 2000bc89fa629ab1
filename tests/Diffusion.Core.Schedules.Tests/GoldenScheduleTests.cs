using Diffusion.Core.Testing;

namespace Diffusion.Core.Schedules.Tests;

[Trait(Category.Name, Category.Golden)]
public sealed class GoldenScheduleTests
{
    private const double Tolerance = 1e-12;

    public static TheoryData<string> Files => GoldenFile.Find("process", "schedule-*.safetensors");

    [Theory]
    [MemberData(nameof(Files))]
    public void Tables_equal_the_reference(string path)
    {
        using var golden = new GoldenFile(path);
        var schedule = OpenAiCase.Schedule(golden.Case);

        RelativeError.OfEach(schedule.Betas, golden.Values("betas")).Should().BeLessThan(Tolerance);
        RelativeError.OfEach(schedule.AlphaBars, golden.Values("alphas_cumprod")).Should().BeLessThan(Tolerance);
        RelativeError.OfEach(schedule.PosteriorVariance, golden.Values("posterior_variance")).Should().BeLessThan(Tolerance);
        RelativeError.OfEach(schedule.PosteriorLogVariance, golden.Values("posterior_log_variance_clipped")).Should().BeLessThan(Tolerance);
        RelativeError.OfEach(schedule.PosteriorMeanCoefficient1, golden.Values("posterior_mean_coef1")).Should().BeLessThan(Tolerance);
        RelativeError.OfEach(schedule.PosteriorMeanCoefficient2, golden.Values("posterior_mean_coef2")).Should().BeLessThan(Tolerance);
    }

    [Fact]
    public void Missing_reference_values_are_an_error()
    {
        FluentActions.Invoking(() => GoldenFile.Find("no-such-folder", "*")).Should().Throw<DirectoryNotFoundException>();
        FluentActions.Invoking(() => GoldenFile.Find("process", "no-such-file-*")).Should().Throw<FileNotFoundException>();
    }
}
