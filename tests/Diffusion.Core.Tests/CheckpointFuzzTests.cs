using System.Text;
using Diffusion.Core.Testing;
using Diffusion.Core.Tests.Support;

namespace Diffusion.Core.Tests;

/// <summary>Damaged checkpoints and metrics with checksums that fit: each is read, or rejected with the documented exception.</summary>
[Trait(Category.Name, Category.Fault)]
public class CheckpointFuzzTests
{
    [Fact]
    public void Damaged_checkpoints_are_resumed_or_rejected() => Checkpoints(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_checkpoints_are_resumed_or_rejected() => Checkpoints(Fuzzing.LongCases);

    [Fact]
    public void Damaged_metrics_are_read_or_rejected() => Metrics(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_metrics_are_read_or_rejected() => Metrics(Fuzzing.LongCases);

    private static void Checkpoints(int count)
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        var stop = new EarlyStop("loss");
        using var trainer = Runs.Trainer(model, Runs.Options with { Callbacks = [stop] });
        trainer.Run(new Points(50));
        trainer.RecordMetric("fid", 3.5);
        trainer.Save(folder.File("run"));
        trainer.Save(folder.File("good"));
        var path = folder.File("run/trainer.json");
        var good = File.ReadAllText(path);
        var before = Bits.OfFolder(folder.File("good"));
        var rejected = 0;
        var fuzzing = new Fuzzing { Documented = [typeof(CheckpointException)] };

        fuzzing.Run(
            count,
            11,
            (_, random) =>
            {
                var text = Mutation.Json(good, random);
                File.WriteAllText(path, text, new UTF8Encoding(false));
                File.WriteAllText($"{path}.sha256", $"{Bits.OfFile(path).ToLowerInvariant()}  trainer.json\n");
                return text;
            },
            _ =>
            {
                try
                {
                    trainer.Resume(folder.File("run"));
                    trainer.Resume(folder.File("good"));
                }
                catch (CheckpointException) when (++rejected % 50 == 0)
                {
                    trainer.Save(folder.File("after"));
                    Bits.OfFolder(folder.File("after")).Should().Equal(before, "nothing has been loaded");
                    throw;
                }
            });

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Accepted.Should().BeLessThan(count / 2).And.BePositive();
    }

    private static void Metrics(int count)
    {
        using var folder = new TemporaryFolder();
        using var model = new TinyDenoiser();
        var path = folder.File("metrics.jsonl");
        using (var trainer = Runs.Trainer(model, Runs.Options with { Steps = 2, LogEvery = 1, Callbacks = [new MetricsFile(path)] }))
            trainer.Run(new Points(50));
        var good = File.ReadAllLines(path);
        var fuzzing = new Fuzzing { Documented = [typeof(InvalidDataException)] };

        fuzzing.Run(
            count,
            12,
            (_, random) =>
            {
                var lines = good.ToArray();
                var line = random.Next(lines.Length);
                lines[line] = Mutation.Json(lines[line], random);
                File.WriteAllText(path, string.Join('\n', lines) + "\n", new UTF8Encoding(false));
                return lines[line];
            },
            _ => MetricsFile.Read(path));

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Accepted.Should().BePositive();
    }
}
