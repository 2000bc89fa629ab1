using System.Globalization;
using Diffusion.Core.Data;

namespace Quickstart;

/// <summary>Chooses the output folder of a run, so that a new run does not overwrite an earlier one.</summary>
internal static class OutputFolder
{
    /// <summary>The name of the checkpoint folder within the folder of a run.</summary>
    public const string Checkpoints = "checkpoints";

    private const string WeightsOnly = "--weights-only";

    public static string Choose(string? asked, string data, bool resume)
    {
        if (asked is not null)
            return asked;
        var first = Path.Combine("runs", data);
        var taken = first;
        for (var n = 2; ; n++)
        {
            var next = n == 2 && !HoldsRun(first) ? first : Path.Combine("runs", $"{data}-{n}");
            if (!HoldsRun(next))
                return resume ? taken : next;
            taken = next;
        }
    }

    /// <summary>Returns whether a folder contains the metrics or checkpoints of a run.</summary>
    public static bool HoldsRun(string output)
    {
        var checkpoints = Path.Combine(output, Checkpoints);
        return File.Exists(Path.Combine(output, RunReport.MetricsName))
            || (Directory.Exists(checkpoints) && Directory.EnumerateFileSystemEntries(checkpoints).Any());
    }

    /// <summary>Returns the command that resumes the run of this process.</summary>
    /// <param name="output">The output folder of the run.</param>
    /// <param name="steps">Another number of steps, without the limit of time; or <see langword="null"/> for the same options.</param>
    public static string ResumeCommand(string output, long? steps = null)
    {
        List<string> arguments = [.. Environment.GetCommandLineArgs().Skip(1).Where(argument => argument != "--resume")];

        // A run that was started from given weights is resumed from its checkpoint instead.
        Remove(arguments, WeightsOnly);
        if (steps is { } number)
        {
            Remove(arguments, "--minutes");
            Remove(arguments, "--steps");
            arguments.AddRange(["--steps", number.ToString(CultureInfo.InvariantCulture)]);
        }

        if (!arguments.Exists(argument => argument.StartsWith("--output", StringComparison.Ordinal)))
            arguments.AddRange(["--output", output]);
        var quoted = arguments.Append("--resume").Select(argument => argument.Contains(' ') ? $"\"{argument}\"" : argument);
        return $"dotnet run --project samples/Quickstart -c Release -- {string.Join(' ', quoted)}";
    }

    private static void Remove(List<string> arguments, string name)
    {
        if (arguments.IndexOf(name) is >= 0 and var at)
            arguments.RemoveRange(at, Math.Min(2, arguments.Count - at));
        arguments.RemoveAll(argument => argument.StartsWith($"{name}=", StringComparison.Ordinal));
        arguments.RemoveAll(argument => argument.StartsWith($"{name}:", StringComparison.Ordinal));
    }
}
