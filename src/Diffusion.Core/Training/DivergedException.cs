using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core;

/// <summary>
/// A run was stopped because too many steps in a row had a loss or gradient that is not finite. The weights are those of the last
/// finite step.
/// </summary>
public sealed class DivergedException : Exception
{
    /// <summary>A run that diverged.</summary>
    public DivergedException()
    {
    }

    /// <summary>A run that diverged.</summary>
    public DivergedException(string message)
        : base(message)
    {
    }

    /// <summary>A run that diverged, with what caused it.</summary>
    public DivergedException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The steps skipped in a row and the samples of their batches, the first step first; at most a thousand.</summary>
    public IReadOnlyList<SkippedStep> Steps { get; init; } = [];

    /// <summary>
    /// The file with the same list, <c>diverged.json</c> in the folder of the run; <see langword="null"/> where there is no folder.
    /// </summary>
    public string? File { get; init; }

    /// <summary>Creates the exception of a run that no longer progresses, and writes its file.</summary>
    internal static DivergedException Of(TrainingState state, ILogger logger)
    {
        var (options, inARow) = (state.Options, state.OptimizerStep.SkippedInARow);
        var order = new DataOrder(options.Seed, state.DatasetCount!.Value, options.BatchSize);
        var report = DivergenceReport.Of(state.Step, inARow, order, options.BatchSize);
        string? file = null;
        try
        {
            file = options.CheckpointFolder is { } folder ? report.Write(Path.GetFullPath(folder)) : null;
        }
        catch (IOException e)
        {
            TrainerLog.DivergenceNotWritten(logger, e.Message);
        }

        var samples = string.Join(", ", report.Steps[0].Indices.Take(16)) + (options.BatchSize > 16 ? ", ..." : "");
        return new DivergedException(
            Invariant($"The last {inARow} steps up to step {state.Step} had a loss or gradient that is not finite; ")
            + Invariant($"{options.MaxSkippedInARow} such steps end the run. Lower the learning rate, or look for such values in ")
            + "the data: "
            + Invariant($"the first of these steps had the samples {samples}. ")
            + (file is null ? "" : $"{file} lists all of them. ")
            + "The weights are those before these steps.")
        {
            Steps = report.Steps,
            File = file,
        };
    }
}

/// <summary>The content of diverged.json, to find the data on which a run diverged.</summary>
/// <param name="Step">The completed steps when it was detected.</param>
/// <param name="SkippedInARow">The number of the last steps that were skipped.</param>
/// <param name="Steps">These steps, in order; at most <see cref="MaxSteps"/>.</param>
internal sealed record DivergenceReport(long Step, long SkippedInARow, IReadOnlyList<SkippedStep> Steps)
{
    /// <summary>The name of the file.</summary>
    public const string FileName = "diverged.json";

    private const int MaxSteps = 1_000;

    /// <summary>The report of the steps up to one, by the order of the data alone.</summary>
    public static DivergenceReport Of(long step, long skippedInARow, DataOrder order, int batchSize)
    {
        var steps = new SkippedStep[Math.Min(skippedInARow, MaxSteps)];
        for (var i = 0; i < steps.Length; i++)
        {
            var before = step - skippedInARow + i;
            var indices = new long[batchSize];
            order.Fill(before, indices);
            steps[i] = new SkippedStep(before + 1, indices);
        }

        return new DivergenceReport(step, skippedInARow, steps);
    }

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public string Write(string folder)
    {
        var path = Path.Combine(folder, FileName);
        AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, this, DivergenceJson.Default.DivergenceReport));
        return path;
    }
}

/// <summary>How the report is written.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(DivergenceReport))]
internal sealed partial class DivergenceJson : JsonSerializerContext;
