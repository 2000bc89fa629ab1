using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using TorchSharp;

namespace Diffusion.Core;

/// <summary>
/// Writes what happens in a run to a file of JSON lines, one <see cref="RunRecord"/> each:
/// <c>{"kind":"report","step":50,"epoch":0.1,"loss":0.21, ...}</c>. NaN and the infinities are the strings "NaN", "Infinity" and
/// "-Infinity".
/// </summary>
/// <remarks>
/// Each line is handed to the operating system whole, so that a process which is killed leaves a file that can be read. When a run is
/// resumed, lines of steps that it will take again go: reports, measurements and pictures are then those of a run that was never
/// stopped, but for their times. A run that begins at step 0 keeps the file of an earlier one, with <c>.old</c> appended to its
/// name.
/// </remarks>
/// <param name="path">The file, conventionally <c>metrics.jsonl</c>; its folder is created where it is missing.</param>
public sealed class MetricsFile(string path) : TrainerCallback
{
    private const byte LineEnd = (byte)'\n';

    /// <summary>The file, as a full path.</summary>
    public string FilePath { get; } = Path.GetFullPath(path);

    /// <summary>Reads a file that may still be written to; a line that is not complete is not there.</summary>
    /// <param name="path">The file.</param>
    /// <returns>In the order in which they were written.</returns>
    /// <exception cref="InvalidDataException">A line is not a record; the message gives its number.</exception>
    /// <exception cref="IOException">There is no such file, or it cannot be read.</exception>
    public static IReadOnlyList<RunRecord> Read(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        var records = new List<RunRecord>();
        foreach (var line in Lines(ReadBytes(path)))
            records.Add(Parse(line.Span, path, records.Count + 1));
        return records;
    }

    /// <inheritdoc/>
    public override void Started(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        Directory.CreateDirectory(Path.GetDirectoryName(FilePath)!);
        if (File.Exists(FilePath))
            TakeUp(run.Step);
        Append(new EventRecord
        {
            Step = run.Step,
            Epoch = run.Epoch,
            Time = DateTimeOffset.UtcNow,
            Name = run.Step == 0 ? EventRecord.Started : EventRecord.Resumed,
            Details = RunDescription.Of(run),
        });
    }

    /// <inheritdoc/>
    public override void Reported(TrainingRun run, TrainingProgress progress)
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentNullException.ThrowIfNull(progress);
        Append(new ReportRecord
        {
            Step = progress.Step,
            Epoch = progress.Epoch,
            Time = DateTimeOffset.UtcNow,
            Loss = progress.Loss,
            LearningRate = progress.LearningRate,
            GradientNorm = progress.GradientNorm,
            SamplesPerSecond = progress.SamplesPerSecond,
            SecondsPerStep = run.Options.BatchSize / progress.SamplesPerSecond,
            DataWait = progress.DataWait.TotalSeconds,
            SkippedSteps = progress.SkippedSteps,
            Metrics = progress.Metrics,
        });
    }

    /// <inheritdoc/>
    public override void MetricLogged(TrainingRun run, string name, double value)
    {
        ArgumentNullException.ThrowIfNull(run);
        Append(new MetricRecord { Step = run.Step, Epoch = run.Epoch, Time = DateTimeOffset.UtcNow, Name = name, Value = value });
    }

    /// <inheritdoc/>
    public override void ImageLogged(TrainingRun run, string name, string path)
    {
        ArgumentNullException.ThrowIfNull(run);
        var relative = Path.GetRelativePath(Path.GetDirectoryName(FilePath)!, Path.GetFullPath(path)).Replace('\\', '/');
        Append(new ImageRecord { Step = run.Step, Epoch = run.Epoch, Time = DateTimeOffset.UtcNow, Name = name, Path = relative });
    }

    /// <inheritdoc/>
    public override void Saved(TrainingRun run, string path) => Happened(run, EventRecord.Saved, ("checkpoint", Path.GetFileName(path)));

    /// <inheritdoc/>
    public override void Ended(TrainingRun run, Exception? error)
    {
        ArgumentNullException.ThrowIfNull(run);
        switch (error)
        {
            case null when run.StopReason is { } reason:
                Happened(run, EventRecord.Stopped, ("reason", reason));
                break;
            case null:
                Happened(run, EventRecord.Finished);
                break;
            case OperationCanceledException:
                Happened(run, EventRecord.Cancelled);
                break;
            case DivergedException diverged:
                // Its message names a file of the machine.
                Happened(run, EventRecord.Diverged, ("reason", $"the last {diverged.Steps.Count} steps were not finite"));
                break;
            case TrainerCallbackException { Callback: { } callback, InnerException: { } cause }:
                Happened(run, EventRecord.Failed, ("error", cause.GetType().Name), ("callback", TrainerCallbackException.NameOf(callback)));
                break;
            default:
                Happened(run, EventRecord.Failed, ("error", error.GetType().Name));
                break;
        }
    }

    private void Happened(TrainingRun run, string name, params ReadOnlySpan<(string Name, string Text)> details)
    {
        ArgumentNullException.ThrowIfNull(run);
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, text) in details)
            texts.Add(key, text);
        Append(new EventRecord { Step = run.Step, Epoch = run.Epoch, Time = DateTimeOffset.UtcNow, Name = name, Details = texts });
    }

    private void Append(RunRecord record)
    {
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(record, RunRecordJson.Default.RunRecord), LineEnd];
        using var file = new FileStream(FilePath, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0);
        file.Write(line);
    }

    /// <summary>Keeps what an earlier part of the run wrote up to a step; nothing of it where the run begins anew.</summary>
    private void TakeUp(long step)
    {
        if (step == 0)
        {
            File.Move(FilePath, FilePath + ".old", overwrite: true);
            return;
        }

        var bytes = ReadBytes(FilePath);
        var kept = new MemoryStream(bytes.Length);
        var number = 0;
        foreach (var line in Lines(bytes))
        {
            if (Parse(line.Span, FilePath, ++number).Step > step)
                continue;
            kept.Write(line.Span);
            kept.WriteByte(LineEnd);
        }

        if (kept.Length != bytes.Length)
            AtomicFile.Write(FilePath, kept.WriteTo);
    }

    private static byte[] ReadBytes(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var memory = new MemoryStream();
        file.CopyTo(memory);
        return memory.ToArray();
    }

    /// <summary>The lines that end.</summary>
    private static IEnumerable<ReadOnlyMemory<byte>> Lines(ReadOnlyMemory<byte> bytes)
    {
        for (var length = bytes.Span.IndexOf(LineEnd); length >= 0; length = bytes.Span.IndexOf(LineEnd))
        {
            yield return bytes[..length];
            bytes = bytes[(length + 1)..];
        }
    }

    private static RunRecord Parse(ReadOnlySpan<byte> line, string path, int number)
    {
        try
        {
            return JsonSerializer.Deserialize(line, RunRecordJson.Default.RunRecord)
                ?? throw new JsonException("expected an object, got null");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new InvalidDataException($"Line {number} of '{path}' is not a record of a run: {e.Message}", e);
        }
    }
}

/// <summary>The options and the environment of a run as texts by name, without the name of a folder, machine or user.</summary>
internal static class RunDescription
{
    public static SortedDictionary<string, string> Of(TrainingRun run)
    {
        var (options, trainer) = (run.Options, run.Trainer);
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["trainer"] = trainer.GetType().Name,
            ["parameters"] = Text(trainer.State.Parameters.Slices.Sum(slice => slice.Count)),
            ["device"] = trainer.Device.ToString(),
            ["weights"] = trainer.State.Parameters.Dtype.ToString(),
            ["precision"] = options.Precision.Name,
            ["channels_last"] = options.ChannelsLast ? "yes" : "no",
            ["steps"] = Text(options.Steps),
            ["batch_size"] = Text(options.BatchSize),
            ["micro_batch_size"] = options.MicroBatchSize is { } size ? Text(size) : "the whole batch",
            ["seed"] = Text(options.Seed),
            ["learning_rate"] = options.LearningRateSchedule is null ? Text(options.LearningRate) : "a schedule",
            ["warmup_steps"] = options.LearningRateSchedule is null ? Text(options.WarmupSteps) : "of the schedule",
            ["optimizer"] = $"{options.Optimizer}".Replace($" Name = {options.Optimizer.Name},", "", StringComparison.Ordinal),
            ["clip_norm"] = options.MaxGradNorm is { } norm ? Text(norm) : "none",
            ["averages"] = string.Join(", ", options.AllAverages.Select(average => average.Key)),
            ["timesteps"] = options.Timesteps.GetType().Name,
            ["log_every"] = Text(options.LogEvery),
            ["checkpoint_every"] = options.CheckpointFolder is null ? "never" : Text(options.CheckpointEvery),
            ["library"] = Version(typeof(Trainer).Assembly),
            ["torch"] = Version(typeof(torch).Assembly),
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["system"] = $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}",
            ["processors"] = Text(Environment.ProcessorCount),
        };
        return texts;
    }

    private static string Version(Assembly assembly) => $"{assembly.GetName().Name} {assembly.GetName().Version?.ToString(3)}";

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);
}
