using System.Text.Json;
using System.Text.Json.Serialization;

namespace Diffusion.Core;

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
