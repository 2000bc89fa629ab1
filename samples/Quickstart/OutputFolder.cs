using Diffusion.Core.Data;

namespace Quickstart;

/// <summary>Where a run goes: never over an earlier one.</summary>
internal static class OutputFolder
{
    /// <summary>The folder of the checkpoints in that of a run.</summary>
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

    /// <summary>Whether a run has left anything here; one that ended before its first step has not.</summary>
    public static bool HoldsRun(string output)
    {
        var checkpoints = Path.Combine(output, Checkpoints);
        return File.Exists(Path.Combine(output, RunReport.MetricsName))
            || (Directory.Exists(checkpoints) && Directory.EnumerateFileSystemEntries(checkpoints).Any());
    }

    /// <summary>The command that goes on where this process stopped.</summary>
    public static string ResumeCommand(string output)
    {
        List<string> arguments = [.. Environment.GetCommandLineArgs().Skip(1).Where(argument => argument != "--resume")];

        // A run that began from given weights goes on from its own.
        if (arguments.IndexOf(WeightsOnly) is >= 0 and var at)
            arguments.RemoveRange(at, Math.Min(2, arguments.Count - at));
        arguments.RemoveAll(argument => argument.StartsWith(WeightsOnly, StringComparison.Ordinal));
        if (!arguments.Exists(argument => argument.StartsWith("--output", StringComparison.Ordinal)))
            arguments.AddRange(["--output", output]);
        var quoted = arguments.Append("--resume").Select(argument => argument.Contains(' ') ? $"\"{argument}\"" : argument);
        return $"dotnet run --project samples/Quickstart -c Release -- {string.Join(' ', quoted)}";
    }
}
