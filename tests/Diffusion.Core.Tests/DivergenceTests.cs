using System.Text.Json.Nodes;
using Diffusion.Core.Losses;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

/// <summary>Values that are not finite, in data, loss or gradient.</summary>
[Trait(Category.Name, Category.Fault)]
public class DivergenceTests
{
    public enum Place
    {
        Data,
        Loss,
        Gradient,
    }

    [Theory]
    [InlineData(Place.Data)]
    [InlineData(Place.Loss)]
    [InlineData(Place.Gradient)]
    public void The_samples_of_the_steps_that_were_skipped_are_told_exactly(Place place)
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        using var trainer = Runs.Trainer(
            model,
            Runs.Options with { Steps = 1000, LogEvery = 6, MaxSkippedInARow = 4, CheckpointFolder = folder.Path },
            new Poisoned(place, 13));
        var points = new Points(50);
        if (place == Place.Data)
            points.Substitute = indices => points.Loaded.Count > 13 ? full([indices.Length, 2], float.NaN) : null;

        var error = FluentActions.Invoking(() => trainer.Run(points)).Should().Throw<DivergedException>().Which;

        // Seen at the report of step 18.
        error.Steps.Select(step => step.Step).Should().Equal(14, 15, 16, 17, 18);
        error.Steps.Select(step => step.Indices).Should().BeEquivalentTo(points.Loaded.Skip(13), order => order.WithStrictOrdering());
        error.Message.Should().Contain($"had the samples {string.Join(", ", points.Loaded[13])}.").And.Contain("learning rate");
        error.File.Should().Be(folder.File("diverged.json"));
        var told = JsonNode.Parse(File.ReadAllText(error.File!))!;
        ((long)told["step"]!).Should().Be(18);
        ((long)told["skipped_in_a_row"]!).Should().Be(5);
        told["steps"]!.AsArray().Select(step => step!["indices"]!.AsArray().Select(index => (long)index!).ToArray())
            .Should().BeEquivalentTo(points.Loaded.Skip(13), order => order.WithStrictOrdering());
        trainer.SkippedSteps.Should().Be(5);
    }

    [Fact]
    public void The_samples_are_told_by_a_run_that_was_resumed_in_the_middle_of_the_row()
    {
        using var folder = new TemporaryFolder();
        var whole = new List<long[]>();
        DivergedException? error = null;
        foreach (var steps in (long[])[10, 1000])
        {
            using var model = new TinyDenoiser();
            var options = Runs.Options with { Steps = steps, MaxSkippedInARow = 4, CheckpointFolder = folder.Path };
            using var trainer = Runs.Trainer(model, options, new Poisoned(Place.Loss, steps == 10 ? 8 : 0));
            var points = new Points(50);
            var fit = () => trainer.Run(points);
            if (steps == 10)
                fit();
            else
                error = fit.Should().Throw<DivergedException>().Which;
            whole.AddRange(points.Loaded);
        }

        error!.Steps.Select(step => step.Step).Should().Equal(9, 10, 11, 12, 13, 14, 15);
        error.Steps.Select(step => step.Indices).Should().BeEquivalentTo(whole.Skip(8), order => order.WithStrictOrdering());
    }

    [Fact]
    public void A_report_that_cannot_be_written_is_no_reason_to_hide_why()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File("diverged.json"));
        using var model = new TinyDenoiser();
        var logger = new ListLogger();
        using var trainer = Runs.Trainer(
            model, Runs.Options with { MaxSkippedInARow = 1, CheckpointFolder = folder.Path }, new Poisoned(Place.Loss, 0), logger);

        var error = FluentActions.Invoking(() => trainer.Run(new Points(50))).Should().Throw<DivergedException>().Which;

        error.File.Should().BeNull();
        error.Steps.Should().HaveCount(5);
        logger.Entries.Select(entry => entry.Text)
            .Should().Contain(text => text.StartsWith("The report of the skipped steps could not be written.", StringComparison.Ordinal));
    }

    /// <summary>A loss that, from some step on, is not finite, or has a gradient that is not.</summary>
    private sealed class Poisoned(Place place, int good) : IDiffusionLoss
    {
        private readonly SimpleLoss _inner = new();
        private int _calls;

        public LossTerms Evaluate(LossContext context)
        {
            var terms = _inner.Evaluate(context);
            if (place == Place.Data || _calls++ < good)
                return terms;
            using (terms)
            {
                using var scope = NewDisposeScope();
                // The root has an infinite slope at zero, and zero times infinity is not a number.
                var poison = place == Place.Loss ? terms.Loss.mul(double.NaN) : terms.Loss.add(terms.Loss.mul(0.0).sqrt());
                return new LossTerms(poison.MoveToOuterDisposeScope());
            }
        }
    }
}
