using System.Text.Json;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

public class EarlyStopTests
{
    private const double NaN = double.NaN;

    [Theory]
    [InlineData(new[] { 5.0, 4.0, 4.0, 3.9, 4.5, 3.95, 7.0, 1.0 }, false, 0.0, 7)]
    [InlineData(new[] { 5.0, 4.0, 3.9, 3.85, 3.81, 1.0 }, false, 0.2, 5)]
    [InlineData(new[] { 1.0, 2.0, 2.0, 1.5, 2.0, 3.0 }, true, 0.0, 5)]
    [InlineData(new[] { NaN, NaN, NaN, 1.0 }, false, 0.0, 3)]
    [InlineData(new[] { NaN, NaN, 2.0, NaN, NaN, 1.0, 0.5 }, false, 0.0, 0)]
    public void A_run_ends_when_a_value_was_missed_three_times_in_a_row(double[] values, bool maximise, double minImprovement, long expected)
    {
        var stop = new EarlyStop("score") { Patience = 3, Maximise = maximise, MinImprovement = minImprovement };

        Steps(values, stop).Should().Be(expected == 0 ? values.Length : expected);
    }

    [Fact]
    public void A_metric_of_the_reports_is_looked_at_too()
    {
        using var model = new TinyDenoiser();
        var options = Runs.Options with { Steps = 50, LogEvery = 1, LearningRate = 1e-12, Callbacks = [new EarlyStop("loss") { Patience = 4, MinImprovement = 1e3 }] };
        using var trainer = Runs.Trainer(model, options);
        trainer.Run(new Points(50));
        trainer.Step.Should().Be(5, "the first value is the best, and four do not improve on it");

        using var other = new TinyDenoiser();
        using var quarters = Runs.Trainer(other, options with { BatchSize = 64, Callbacks = [new EarlyStop("loss_q3") { Patience = 2, MinImprovement = 1e3 }] });
        quarters.Run(new Points(50));
        quarters.Step.Should().Be(3);
    }

    [Fact]
    public void What_it_remembers_goes_with_the_run()
    {
        double[] values = [5.0, 4.0, 4.5, 4.6, 4.7, 4.8];
        var stop = new EarlyStop("score") { Patience = 3 };
        Steps(values[..4], stop);
        var saved = JsonDocument.Parse(stop.Save().GetRawText()).RootElement;

        var resumed = new EarlyStop("score") { Patience = 3 };
        resumed.Load(saved);

        (resumed.Best, resumed.Misses, resumed.Key).Should().Be((4.0, 2, "early-stop:score"));
        Steps(values[4..], resumed).Should().Be(1, "the third miss in a row is the first after resuming");
        var fresh = new EarlyStop("score");
        fresh.Load(new EarlyStop("score").Save());
        fresh.Best.Should().Be(NaN);
    }

    [Fact]
    public void A_resumed_run_stops_where_one_that_was_never_stopped_does()
    {
        using var folder = new TemporaryFolder();
        double[] values = [5.0, 4.0, 4.5, 4.6, 4.7, 4.8, 4.9, 1.0];
        var stop = new EarlyStop("score") { Patience = 4 };
        Steps(values, stop).Should().Be(6);

        Steps(values[..4], new EarlyStop("score") { Patience = 4 }, folder.Path).Should().Be(4);
        Steps(values, new EarlyStop("score") { Patience = 4 }, folder.Path).Should().Be(6);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{"best":1,"misses":-1}""")]
    [InlineData("""{"best":"x","misses":1}""")]
    public void Another_callbacks_memory_is_refused(string json)
        => FluentActions.Invoking(() => new EarlyStop("score").Load(JsonDocument.Parse(json).RootElement)).Should().Throw<JsonException>();

    [Fact]
    public void Settings_out_of_range_are_refused()
    {
        FluentActions.Invoking(() => new EarlyStop("x") { Patience = 0 }).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new EarlyStop("x") { MinImprovement = -1.0 }).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => new EarlyStop("x") { MinImprovement = NaN }).Should().Throw<ArgumentOutOfRangeException>();
    }

    /// <summary>Steps taken by a run that measures one value after each.</summary>
    private static long Steps(double[] values, EarlyStop stop, string? folder = null)
    {
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(model, Runs.Options with
        {
            Steps = values.Length,
            CheckpointFolder = folder,
            Callbacks = [Every.Steps(1, run => run.LogMetric("score", values[run.Step - 1])), stop],
        });
        trainer.Run(new Points(50));
        return trainer.Step;
    }
}
