using System.Globalization;
using System.Text.RegularExpressions;
using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

/// <summary>What a run writes and logs is the same in every culture: other decimal separators, minus signs, digits, calendars and letters.</summary>
public partial class CultureTests
{
    [Theory]
    [InlineData("de-DE")]
    [InlineData("tr-TR")]
    [InlineData("fa-IR")]
    [InlineData("sv-SE")]
    public void The_files_and_logs_of_a_run_are_those_of_the_invariant_culture(string name)
    {
        var culture = new CultureInfo(name);
        (-1.5).ToString(culture).Should().NotBe("-1.5", "the culture has another separator or sign");

        var (files, messages) = In(culture, Run);
        var (expected, invariant) = In(CultureInfo.InvariantCulture, Run);

        files.Keys.Should().Equal(expected.Keys);
        foreach (var (file, text) in files)
            text.Should().Be(expected[file], file);
        messages.Should().Equal(invariant);
        messages.Should().Contain(message => message.Contains("has not improved on 0.", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("de-DE")]
    [InlineData("tr-TR")]
    [InlineData("fa-IR")]
    [InlineData("sv-SE")]
    public void A_report_is_that_of_the_invariant_culture(string name)
    {
        using var folder = new TemporaryFolder();
        using (var network = new TinyDenoiser())
        using (var trainer = Runs.Trainer(network, Runs.Options with
        {
            Callbacks = [new MetricsFile(folder.File("metrics.jsonl")), Every.Steps(4, run => run.LogMetric("difference", -1234.5 * run.Step))],
        }))
            trainer.Run(new Points(50));

        string Report()
        {
            RunReport.Write(folder.Path);
            return File.ReadAllText(folder.File("report.html"));
        }

        In(new CultureInfo(name), Report).Should().Be(In(CultureInfo.InvariantCulture, Report));
    }

    [Theory]
    [InlineData("de-DE")]
    [InlineData("tr-TR")]
    [InlineData("fa-IR")]
    [InlineData("sv-SE")]
    public void A_run_is_resumed_in_another_culture(string name)
    {
        using var folder = new TemporaryFolder();
        In(CultureInfo.InvariantCulture, () => Part(8));
        In(new CultureInfo(name), () => Part(16));
        In(CultureInfo.InvariantCulture, () => Part(20)).Should().Be(20);

        long Part(long steps)
        {
            using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 16, Layers = 1 });
            using var model = new DiffusionModel(network, DiscreteSchedule.Linear()) { DataRange = new DataRange(-1.5, 2.25) };
            var options = Runs.Options with { Steps = steps, CheckpointFolder = folder.File("run"), Callbacks = [new MetricsFile(folder.File("metrics.jsonl"))] };
            using var trainer = new DdpmTrainer(model, new SimpleLoss(), options);
            trainer.Run(PointDataset.EightGaussians(1, 50));
            return trainer.Step;
        }
    }

    private static T In<T>(CultureInfo culture, Func<T> run)
    {
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = culture;
            return run();
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    private static (SortedDictionary<string, string> Files, List<string> Messages) Run()
    {
        using var folder = new TemporaryFolder();
        var logger = new ListLogger();
        using var network = new TinyDenoiser();
        var options = Runs.Options with
        {
            Steps = 40,
            LogEvery = 2,
            Optimizer = new Adam { Beta1 = 0.85, WeightDecay = 0.015 },
            Ema = EmaDecay.Constant(0.995),
            CheckpointFolder = folder.File("run"),
            Callbacks =
            [
                new MetricsFile(folder.File("metrics.jsonl")),
                new EarlyStop("loss") { Patience = 3, MinImprovement = 0.5 },
                Every.Steps(4, run => run.LogMetric("difference", -0.125 * run.Step)),
            ],
        };
        using (var trainer = new DdpmTrainer(network, DiscreteSchedule.Linear(), new OffsetNoise(new SimpleLoss(), 0.25), options, logger))
            trainer.Run(new Points(50));

        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var path in Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories))
        {
            if (Path.GetExtension(path) is ".jsonl" or ".json")
                files[Path.GetRelativePath(folder.Path, path)] = Comparable(File.ReadAllText(path).Replace(Path.GetFileName(folder.Path), "", StringComparison.Ordinal));
        }

        return (files, logger.Entries.ConvertAll(entry => Comparable(entry.Text.Replace(folder.Path, "", StringComparison.Ordinal))));
    }

    /// <summary>Removes what differs between two moments: times and speeds, which must be numbers of the invariant culture.</summary>
    private static string Comparable(string text)
    {
        text = Times().Replace(text, "$1TIME");
        return Speeds().Replace(text, match => match.Groups[1].Value
            + (double.TryParse(match.Groups[2].Value, NumberStyles.Float, CultureInfo.InvariantCulture, out _) ? "NUMBER" : match.Groups[2].Value));
    }

    [GeneratedRegex("(\"time\":\")[^\"]*")]
    private static partial Regex Times();

    // The number is followed by another property, or by the unit of a message. A decimal comma would end the match and leave its digits.
    [GeneratedRegex("(\"(?:samples_per_second|seconds_per_step|data_wait)\":|gradient norm [^,]*, )([^,} ]*)")]
    private static partial Regex Speeds();
}
