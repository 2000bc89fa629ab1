namespace Quickstart;

/// <summary>Where a run goes: never over an earlier one.</summary>
internal static class OutputFolder
{
    public static string Choose(string? asked, string data, bool resume)
    {
        if (asked is not null)
            return asked;
        var first = Path.Combine("runs", data);
        var taken = first;
        for (var n = 2; ; n++)
        {
            var next = n == 2 && !Directory.Exists(first) ? first : Path.Combine("runs", $"{data}-{n}");
            if (!Directory.Exists(next))
                return resume ? taken : next;
            taken = next;
        }
    }

    /// <summary>The arguments of this process, such that the next one goes on where it stopped.</summary>
    public static string ResumeArguments(string output)
    {
        List<string> arguments = [.. Environment.GetCommandLineArgs().Skip(1).Where(argument => argument != "--resume"), "--resume"];
        if (!arguments.Exists(argument => argument.StartsWith("--output", StringComparison.Ordinal)))
            arguments.AddRange(["--output", output]);
        return string.Join(' ', arguments);
    }
}
