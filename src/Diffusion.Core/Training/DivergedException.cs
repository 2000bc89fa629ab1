using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core;

/// <summary>
/// The exception that is thrown when the loss or gradient of too many consecutive steps is not finite. The weights are those of the
/// last finite step.
/// </summary>
public sealed class DivergedException : Exception
{
    /// <summary>Initializes a new instance of the <see cref="DivergedException"/> class.</summary>
    public DivergedException()
    {
    }

    /// <summary>Initializes a new instance of the <see cref="DivergedException"/> class with a message.</summary>
    public DivergedException(string message)
        : base(message)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="DivergedException"/> class with a message and a cause.</summary>
    public DivergedException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The consecutive skipped steps with the samples of their batches, in order; at most the first 1,000.</summary>
    public IReadOnlyList<SkippedStep> Steps { get; init; } = [];

    /// <summary>
    /// The path of <c>diverged.json</c>, a file in the folder of the run with the same list; <see langword="null"/> if there is no
    /// folder or the file could not be written.
    /// </summary>
    public string? File { get; init; }

    /// <summary>Creates the exception of a run that diverged, and writes the file.</summary>
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

/// <summary>The content of diverged.json, which lists the data on which a run diverged.</summary>
/// <param name="Step">The number of completed steps when the divergence was detected.</param>
/// <param name="SkippedInARow">The number of consecutive skipped steps at that time.</param>
/// <param name="Steps">The skipped steps, in order; at most the first <see cref="MaxSteps"/>.</param>
internal sealed record DivergenceReport(long Step, long SkippedInARow, IReadOnlyList<SkippedStep> Steps)
{
    /// <summary>The name of the file.</summary>
    public const string FileName = "diverged.json";

    private const int MaxSteps = 1_000;

    /// <summary>Creates the report of the last steps. The order of the data determines their samples.</summary>
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

    /// <summary>Writes the file atomically, and returns its path.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public string Write(string folder)
    {
        var path = Path.Combine(folder, FileName);
        AtomicFile.Write(path, stream => JsonSerializer.Serialize(stream, this, DivergenceJson.Default.DivergenceReport));
        return path;
    }
}

/// <summary>The JSON serializer of the report.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(DivergenceReport))]
internal sealed partial class DivergenceJson : JsonSerializerContext;
