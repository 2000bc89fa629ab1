using System.Text;
using System.Text.Json;

namespace Diffusion.Core;

/// <summary>
/// Writes the reports, metrics, images and events of a run to a file of JSON lines, one <see cref="RunRecord"/> in each:
/// <c>{"kind":"report","step":50,"epoch":0.1,"loss":0.21, ...}</c>. NaN and the infinities are the strings "NaN", "Infinity" and
/// "-Infinity".
/// </summary>
/// <remarks>
/// <para>Each line is written in one operation, so that the file can be read after the process was killed, and while the run is in
/// progress.</para>
/// <para>When a run is resumed, the lines of steps that it repeats are removed: reports, metrics and images are then those of a run
/// that was not stopped, except for times. Lines that are no records are moved to a file with <c>.damaged</c> appended to its name, with
/// a logged warning. A run that starts at step 0 renames an existing file: it appends <c>.old</c> to its name.</para>
/// <para>If a line cannot be written, for example on a full disk, a warning is logged and the run continues.</para>
/// </remarks>
/// <param name="path">The file, usually <c>metrics.jsonl</c>. Its folder is created if it does not exist.</param>
public sealed class MetricsFile(string path) : TrainerCallback
{
    private const byte LineEnd = (byte)'\n';

    // Millions of records; the file is read into memory.
    private const long MaxBytes = 1L << 30;

    /// <summary>The file, as a full path.</summary>
    public string FilePath { get; } = Path.GetFullPath(path);

    /// <inheritdoc/>
    public override bool IsRecord => true;

    /// <summary>
    /// Reads a file, which may belong to a run in progress. Empty lines, and a last line without an end, are ignored.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <returns>The records in the order in which they were written.</returns>
    /// <exception cref="InvalidDataException">
    /// A line is not a record: the message contains its number. Or the file has more than 1 GiB.
    /// </exception>
    /// <exception cref="IOException">There is no such file, or it cannot be read.</exception>
    public static IReadOnlyList<RunRecord> Read(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        var records = new List<RunRecord>();
        foreach (var (number, line) in Lines(ReadBytes(path)))
            records.Add(Parse(line.Span, path, number));
        return records;
    }

    /// <inheritdoc/>
    public override void Started(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        DiskFile.CreateFolder(Path.GetDirectoryName(FilePath)!);
        if (File.Exists(FilePath))
            TakeUp(run);
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
                // The message of the exception is not written, because it contains a path.
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
        DiskFile.Append(FilePath, line);
    }

    /// <summary>Removes the lines of later steps from the file of an earlier part of the run; renames the file of another run.</summary>
    private void TakeUp(TrainingRun run)
    {
        if (run.Step == 0)
        {
            DiskFile.Move(FilePath, FilePath + ".old");
            return;
        }

        var bytes = ReadBytes(FilePath);
        var (kept, damaged) = (new MemoryStream(bytes.Length), new MemoryStream());
        var count = 0;
        var reason = "";
        foreach (var (number, line) in Lines(bytes))
        {
            try
            {
                if (Parse(line.Span, FilePath, number).Step <= run.Step)
                    WriteLine(kept, line.Span);
            }
            catch (InvalidDataException e)
            {
                WriteLine(damaged, line.Span);
                if (count++ == 0)
                    reason = e.Message;
            }
        }

        if (count > 0)
        {
            var target = FilePath + ".damaged";
            DiskFile.Append(target, damaged.ToArray());
            TrainerLog.LinesSetAside(run.Trainer.Log, count, FilePath, target, reason);
        }

        if (kept.Length != bytes.Length)
            AtomicFile.Write(FilePath, kept.WriteTo);
    }

    private static void WriteLine(MemoryStream stream, ReadOnlySpan<byte> line)
    {
        stream.Write(line);
        stream.WriteByte(LineEnd);
    }

    private static byte[] ReadBytes(string path)
        => DiskFile.ReadBytes(path, MaxBytes, FileShare.ReadWrite | FileShare.Delete);

    /// <summary>
    /// Returns the complete lines that are not empty, with their numbers from 1. A byte order mark, and the zeros that a file system
    /// may leave after a power failure, do not belong to them.
    /// </summary>
    private static IEnumerable<(int Number, ReadOnlyMemory<byte> Line)> Lines(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Span.StartsWith(Encoding.UTF8.Preamble))
            bytes = bytes[Encoding.UTF8.Preamble.Length..];
        var number = 1;
        for (var length = bytes.Span.IndexOf(LineEnd); length >= 0; length = bytes.Span.IndexOf(LineEnd), number++)
        {
            var line = bytes[..length].Trim(" \t\r\0"u8);
            if (line.Length > 0)
                yield return (number, line);
            bytes = bytes[(length + 1)..];
        }
    }

    private static RunRecord Parse(ReadOnlySpan<byte> line, string path, int number)
    {
        try
        {
            var record = JsonSerializer.Deserialize(line, RunRecordJson.Default.RunRecord)
                ?? throw new JsonException("expected an object, got null");
            var name = record switch
            {
                EventRecord happened => happened.Name,
                MetricRecord metric => metric.Name,
                ImageRecord image => image.Name,
                _ => null,
            };
            return name is null || !string.IsNullOrWhiteSpace(name) ? record : throw new JsonException("'name' must not be empty");
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new InvalidDataException(Invariant($"Line {number} of '{path}' is not a record of a run: {e.Message}"), e);
        }
    }
}
