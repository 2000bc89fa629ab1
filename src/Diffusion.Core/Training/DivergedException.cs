using System.Text.Json;
using System.Text.Json.Serialization;

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

    /// <summary>The file that says the same, <c>diverged.json</c> in the folder of the run; null where there is no folder.</summary>
    public string? File { get; init; }
}

/// <summary>What diverged.json says, to look for the data that a run diverged on.</summary>
/// <param name="Step">Steps done when it was noticed.</param>
/// <param name="SkippedInARow">How many of the last were skipped.</param>
/// <param name="Steps">They, the first first; at most <see cref="MaxSteps"/>.</param>
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
