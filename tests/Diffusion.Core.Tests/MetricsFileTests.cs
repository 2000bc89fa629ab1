using System.Text;
using System.Text.Json;
using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests;

public class MetricsFileTests
{
    [Fact]
    public void Reports_measurements_and_events_are_lines_of_JSON()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("run/metrics.jsonl");
        var progress = new DirectProgress();
        Fit(
            path,
            Runs.Options with { Steps = 10, LogEvery = 5, CheckpointFolder = folder.File("checkpoints"), CheckpointEvery = 5 },
            progress,
            Every.Steps(5, run => run.LogMetric("score", run.Step / 10.0)));

        var lines = File.ReadAllLines(path);
        lines.Select(line => JsonDocument.Parse(line).RootElement).Select(line => $"{line.GetProperty("kind")} {line.GetProperty("step")}").Should().Equal(
            "event 0", "metric 5", "report 5", "event 5", "metric 10", "report 10", "event 10", "event 10");
        var report = JsonDocument.Parse(lines[2]).RootElement;
        report.EnumerateObject().Select(property => property.Name).Should().Equal(
            "kind", "step", "epoch", "loss", "learning_rate", "gradient_norm", "samples_per_second", "seconds_per_step", "data_wait", "skipped_steps", "metrics", "time");
        var told = progress.Reports[0];
        report.GetProperty("loss").GetDouble().Should().Be(told.Loss);
        report.GetProperty("learning_rate").GetDouble().Should().Be(told.LearningRate);
        report.GetProperty("gradient_norm").GetDouble().Should().Be(told.GradientNorm);
        report.GetProperty("samples_per_second").GetDouble().Should().Be(told.SamplesPerSecond);
        report.GetProperty("seconds_per_step").GetDouble().Should().BeApproximately(8.0 / told.SamplesPerSecond, 1e-12);
        report.GetProperty("epoch").GetDouble().Should().Be(0.8);
        report.GetProperty("metrics").GetProperty("loss_q0").ToString().Should().NotBeEmpty();
        report.GetProperty("time").GetDateTimeOffset().Should().BeCloseTo(DateTimeOffset.UtcNow, TimeSpan.FromMinutes(5));
        JsonDocument.Parse(lines[1]).RootElement.GetProperty("value").GetDouble().Should().Be(0.5);
    }

    [Fact]
    public void What_is_read_is_what_was_told()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("metrics.jsonl");
        var progress = new DirectProgress();
        var picture = folder.File("samples/a.png");
        Directory.CreateDirectory(folder.File("samples"));
        File.WriteAllBytes(picture, [1]);
        Fit(path, Runs.Options with { Steps = 1 }, progress, Every.Steps(1, run =>
        {
            run.LogMetric("score", double.NegativeInfinity);
            run.LogImage("grid", picture);
        }));

        var records = MetricsFile.Read(path);

        records.Select(record => record.GetType().Name).Should().Equal(
            nameof(EventRecord), nameof(MetricRecord), nameof(ImageRecord), nameof(ReportRecord), nameof(EventRecord));
        ((MetricRecord)records[1]).Should().Match<MetricRecord>(record => record.Name == "score" && record.Value == double.NegativeInfinity);
        ((ImageRecord)records[2]).Should().Match<ImageRecord>(record => record.Name == "grid" && record.Path == "samples/a.png");
        var report = (ReportRecord)records[3];
        report.Metrics.Should().BeEquivalentTo(progress.Reports[0].Metrics);
        report.DataWait.Should().Be(progress.Reports[0].DataWait.TotalSeconds);
        File.ReadLines(path).ElementAt(1).Should().Contain("\"-Infinity\"");
        var details = ((EventRecord)records[0]).Details;
        details["batch_size"].Should().Be("8");
        details["optimizer"].Should().StartWith("AdamW");
        details["network"].Should().Contain("TinyDenoiser");
        details["prediction"].Should().Contain("epsilon");
        details["schedule"].Should().Be("DiscreteSchedule, 1000 steps, beta 0.0001 to 0.02");
        details["loss"].Should().Be("SimpleLoss(l2, none)");
        details["data_set"].Should().StartWith("Points, 50 samples [2]");
        details["averages"].Should().Be("ema: warm-up to 0.9999");
        details["parameters"].Should().Be("104", "which are 3 x 16 + 16 + 16 x 2 + 2 and 5 + 1 that are never used");
        File.ReadAllText(path).Should().NotContain(Environment.MachineName).And.NotContain(folder.Path);
    }

    [Fact]
    public void A_run_without_a_finite_step_is_written_down_as_such()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("metrics.jsonl");
        var points = new Points(50) { Substitute = indices => full([indices.Length, 2], float.NaN) };
        FluentActions.Invoking(() => Fit(path, Runs.Options with { LogEvery = 1, MaxSkippedInARow = 2, CheckpointFolder = folder.Path }, null, null, points)).Should().Throw<DivergedException>();

        var records = MetricsFile.Read(path);
        records.OfType<ReportRecord>().Should().HaveCount(2).And.OnlyContain(record => double.IsNaN(record.Loss));
        records.OfType<ReportRecord>().Last().SkippedSteps.Should().Be(2);
        ((EventRecord)records[^1]).Name.Should().Be(EventRecord.Diverged);
        ((EventRecord)records[^1]).Details["reason"].Should().Be("the last 2 steps were not finite");
        File.ReadAllText(path).Should().NotContain(folder.Path);
        File.ReadLines(path).Should().Contain(line => line.Contains("\"loss\":\"NaN\""));
    }

    [Fact]
    public void How_a_run_ended_is_written_down()
    {
        using var folder = new TemporaryFolder();
        string End(string name, Action<TrainingRun> acting)
        {
            var path = folder.File(name);
            try
            {
                Fit(path, Runs.Options with { Steps = 3 }, null, Every.Steps(2, acting));
            }
            catch (Exception error) when (error is TrainerCallbackException or OperationCanceledException)
            {
            }

            var last = (EventRecord)MetricsFile.Read(path)[^1];
            return $"{last.Name} {string.Join(' ', last.Details.Values)} {last.Step}";
        }

        End("a", _ => { }).Should().Be("finished  3");
        End("b", run => run.Stop("enough")).Should().Be("stopped enough 2");
        End("c", _ => throw new IOException("/home/me is full")).Should().Be("failed Every.Steps(2, action) IOException 2", "a message may name folders");
        End("d", _ => throw new OperationCanceledException()).Should().Be("cancelled  2");
    }

    [Fact]
    public void A_resumed_run_writes_what_one_that_was_never_stopped_writes()
    {
        using var folder = new TemporaryFolder();
        var options = Runs.Options with { Steps = 20, LogEvery = 2, CheckpointEvery = 4 };
        var measure = Every.Steps(3, run => run.LogMetric("score", run.Step));
        Fit(folder.File("whole.jsonl"), options with { CheckpointFolder = folder.File("whole") }, null, measure);

        // What a process leaves that is killed after step 11, three steps after a checkpoint, halfway through a line.
        var path = folder.File("parts.jsonl");
        var parts = options with { CheckpointFolder = folder.File("parts") };
        var kill = Every.Steps(11, _ =>
        {
            File.Copy(folder.File("running.jsonl"), path);
            foreach (var file in Directory.EnumerateFiles(folder.File("running"), "*", SearchOption.AllDirectories))
            {
                var copy = folder.File(Path.Combine("parts", Path.GetRelativePath(folder.File("running"), file)));
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                File.Copy(file, copy);
            }
        });
        Fit(folder.File("running.jsonl"), options with { CheckpointFolder = folder.File("running") }, null, kill, null, measure);
        File.AppendAllText(path, """{"kind":"report","step":12,"epo""");
        Fit(path, parts, null, measure);

        Comparable(path).Should().Equal(Comparable(folder.File("whole.jsonl")));
        MetricsFile.Read(path).OfType<EventRecord>().Select(record => $"{record.Name} {record.Step}").Should().Equal(
            "started 0", "saved 4", "saved 8", "resumed 8", "saved 12", "saved 16", "saved 20", "finished 20");
    }

    [Fact]
    public void A_file_of_an_earlier_run_is_left_beside()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("metrics.jsonl");
        File.WriteAllText(path, "of another time\n");
        Fit(path, Runs.Options with { Steps = 1 });

        File.ReadAllText(path + ".old").Should().Be("of another time\n");
        MetricsFile.Read(path).Should().HaveCount(3);
    }

    [Fact]
    public void The_first_event_names_network_schedule_prediction_loss_data_set_and_averages()
    {
        using var folder = new TemporaryFolder();
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 16, Layers = 1 });
        using var model = new DiffusionModel(network, new CosineLogSnrSchedule(), Prediction.Velocity);
        var options = Runs.Options with
        {
            Steps = 1,
            Ema = EmaDecay.PowerFunction(0.1),
            ExtraEmas = new Dictionary<string, EmaDecay> { ["slow"] = EmaDecay.Constant(0.99), ["mine"] = new HalfDecay() },
            Callbacks = [new MetricsFile(folder.File("metrics.jsonl"))],
        };
        using (var trainer = new DdpmTrainer(model, new OffsetNoise(new SimpleLoss(weighting: LossWeighting.MinSnr()), 0.25), options))
            trainer.Run(PointDataset.EightGaussians(1, 50));

        var details = MetricsFile.Read(folder.File("metrics.jsonl")).OfType<EventRecord>().First().Details;
        details["network"].Should().Contain("MlpDenoiser").And.Contain("\"width\":16");
        details["schedule"].Should().Contain("Cosine");
        details["prediction"].Should().Contain("velocity");
        details["loss"].Should().Be("OffsetNoise(SimpleLoss(l2, min-snr), 0.25)");
        details["data_set"].Should().Contain("50 samples [2]");
        details["averages"].Should().Be("ema: power function of width 0.1, mine: HalfDecay, slow: constant 0.99");
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("""{"kind":"event","step":1,"epoch":0,"name":"saved","time":"2026-01-02T03:04:05Z"}""", 0)]
    [InlineData("{\"kind\":\"event\",\"step\":1,\"epoch\":0,\"name\":\"saved\",\"time\":\"2026-01-02T03:04:05Z\"}\n{\"kind\":\"rep", 1)]
    public void A_line_without_an_end_is_not_there(string text, int records)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("x"), text);

        MetricsFile.Read(folder.File("x")).Should().HaveCount(records);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"kind":"weather","step":1}""")]
    [InlineData("""{"kind":"metric","step":1,"epoch":0,"time":"2026-01-02T03:04:05Z"}""")]
    public void A_damaged_line_is_refused_by_its_number(string line)
    {
        using var folder = new TemporaryFolder();
        var good = """{"kind":"event","step":1,"epoch":0,"name":"saved","time":"2026-01-02T03:04:05Z"}""";
        File.WriteAllText(folder.File("x"), $"{good}\n{line}\n{good}\n", new UTF8Encoding(false));

        FluentActions.Invoking(() => MetricsFile.Read(folder.File("x"))).Should().Throw<InvalidDataException>().WithMessage("Line 2 of*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_run_is_resumed_whatever_the_file_contains()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("metrics.jsonl");
        var options = Runs.Options with { Steps = 4, LogEvery = 2, CheckpointEvery = 4, CheckpointFolder = folder.File("run") };
        Fit(path, options);
        var lines = File.ReadAllLines(path);
        string[] foreign =
        [
            "nonsense", lines[1][..20], lines[1][..20] + lines[2], """{"kind":"weather","step":1}""", "null", "[1]", "\u0001\u0002",
            """{"kind":"metric","step":1,"epoch":0,"name":null,"value":1,"time":"2026-01-02T03:04:05Z"}""",
            """{"kind":"metric","step":1,"epoch":0,"name":"","value":1,"time":"2026-01-02T03:04:05Z"}""",
        ];
        string[] harmless = ["", "  \r", "\0\0\0", "\0\0" + lines[^1]];
        File.WriteAllText(path, string.Join('\n', [.. lines[..2], .. foreign, .. harmless, .. lines[2..^1]]) + "\n{\"kind\":\"rep", new UTF8Encoding(true));
        var logger = new ListLogger();

        Fit(path, options with { Steps = 6 }, logger: logger);

        MetricsFile.Read(path).OfType<EventRecord>().Select(record => $"{record.Name} {record.Step}").Should().BeEquivalentTo(
            "started 0", "saved 4", "finished 4", "resumed 4", "saved 6", "finished 6");
        File.ReadAllLines(path + ".damaged").Should().Equal(foreign);
        logger.Warnings.Should().ContainSingle().Which.Should().StartWith("9 lines of ").And.Contain("Line 3 of");
        Fit(path, options with { Steps = 8 }, logger: logger);
        logger.Warnings.Should().ContainSingle();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_record_that_cannot_be_written_does_not_stop_a_run()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("metrics.jsonl");
        var events = folder.File("events");
        var logger = new ListLogger();
        // A folder in the place of the file is an error for every user, and as temporary as a full disk.
        string EntryOf() => Directory.GetFileSystemEntries(events, "events*").Order(StringComparer.Ordinal).First();
        var obstruct = Every.Steps(1, run =>
        {
            foreach (var file in (string[])[path, EntryOf()])
            {
                if (run.Step == 2)
                {
                    File.Move(file, file + ".away");
                    Directory.CreateDirectory(file);
                }
                else if (run.Step == 5)
                {
                    Directory.Delete(file);
                    File.Move(file + ".away", file);
                }
            }
        });

        Fit(path, Runs.Options with { Steps = 8, LogEvery = 1 }, action: obstruct, more: new TensorBoardLog(events), logger: logger);

        MetricsFile.Read(path).OfType<ReportRecord>().Select(record => record.Step).Should().Equal(1, 5, 6, 7, 8);
        logger.Warnings.Where(text => text.Contains("could not write", StringComparison.Ordinal)).Should().HaveCount(2);
        logger.Warnings.Where(text => text.Contains("at step 5; 3 records are missing", StringComparison.Ordinal)).Should().HaveCount(2);
    }

    /// <summary>Every line but events, without what differs between machines and moments.</summary>
    private static List<string> Comparable(string path)
    {
        string[] times = ["time", "samples_per_second", "seconds_per_step", "data_wait"];
        return [.. File.ReadLines(path)
            .Select(line => JsonDocument.Parse(line).RootElement)
            .Where(line => line.GetProperty("kind").GetString() != "event")
            .Select(line => string.Join(' ', line.EnumerateObject().Where(property => !times.Contains(property.Name))))];
    }

    private sealed class HalfDecay : EmaDecay
    {
        public override double At(long step) => 0.5;
    }

    private static void Fit(
        string path,
        TrainerOptions options,
        IProgress<TrainingProgress>? progress = null,
        TrainerCallback? action = null,
        Points? points = null,
        TrainerCallback? more = null,
        ListLogger? logger = null)
    {
        using var model = new TinyDenoiser();
        TrainerCallback?[] all = [new MetricsFile(path), more, action];
        using var trainer = Runs.Trainer(model, options with { Callbacks = [.. all.OfType<TrainerCallback>()] }, logger: logger);
        trainer.Run(points ?? new Points(50), progress);
    }
}
