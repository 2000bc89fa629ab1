using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests;

public sealed class RespacedSamplingTests
{
    [Theory]
    [InlineData("ddim20")]
    [InlineData("3,5,9")]
    public void All_steps_of_a_respaced_schedule_are_those_steps_of_the_original(string text)
    {
        var schedule = DiscreteSchedule.Cosine(100);
        var kept = Respacing.Parse(text, 100);
        var times = Array.ConvertAll(kept, t => (double)t);
        Array.Reverse(times);
        var few = schedule.Respaced(text);

        var (expected, askedOriginal) = Sample(new AncestralSampler(new TimeGrid(schedule, times)), schedule);
        var (actual, asked) = Sample(new AncestralSampler(few.Steps), few);

        asked.Should().Equal(times.Select(t => (long)t)).And.Equal(askedOriginal);
        RelativeError.OfEach(actual, expected).Should().BeLessThan(1e-9, "the abar of both is the same, by different products");
    }

    /// <summary>A sample, and the times that the network was told on the way.</summary>
    private static (double[] Sample, IReadOnlyList<long> Asked) Sample(ISampler sampler, DiscreteSchedule schedule)
    {
        var asked = new List<long>();
        var denoiser = new FunctionDenoiser((x, t, _) =>
        {
            asked.Add(t.data<long>().ToArray()[0]);
            return x.mul(0.3);
        });
        using var sample = sampler.Sample(denoiser.On(schedule).With(DataRange.Images), [1, 4], seed: 1);
        using var precise = sample.to(ScalarType.Float64);
        return (precise.data<double>().ToArray(), asked);
    }
}
