using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Diffusion.Core;

/// <summary>
/// Finds the checkpoints in the folder of a run. It only reads, so that it is safe while another process writes to the folder.
/// </summary>
[ExcludeFromCodeCoverage]
internal static class RunFolder
{
    /// <summary>The file with the name of the newest checkpoint.</summary>
    public const string PointerFile = "latest";

    /// <summary>The file that every checkpoint contains.</summary>
    public const string ManifestFile = "trainer.json";

    /// <summary>The extension of the hidden folder to which a checkpoint is moved while another takes its place.</summary>
    public const string Replaced = "replaced";

    /// <summary>The number of times that a checkpoint is looked for if it is removed while it is read.</summary>
    public const int Attempts = 4;

    private const string Prefix = "step-";

    /// <summary>Returns the name of the checkpoint of a step.</summary>
    public static string NameOf(long step) => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{step:D8}");

    /// <summary>
    /// Returns the step in the name of a folder; <see langword="null"/> if it is not the name of a checkpoint, or of one being replaced.
    /// </summary>
    public static long? StepOf(string path)
    {
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(path));
        if (IsReplaced(name))
            name = Path.GetFileNameWithoutExtension(name)[1..];
        return NumberAfter(Prefix, name);
    }

    /// <summary>Returns the number after a prefix; <see langword="null"/> if there is no such prefix or number.</summary>
    public static long? NumberAfter(string prefix, string name)
        => name.StartsWith(prefix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : null;

    /// <summary>
    /// Returns the checkpoints in a folder in order of their steps; empty if the folder does not exist. A checkpoint that was being replaced
    /// when its process ended is included.
    /// </summary>
    public static IReadOnlyList<(string Path, long Step)> Checkpoints(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        if (!Directory.Exists(folder))
            return [];
        for (var attempt = 1; ; attempt++)
        {
            (string, long)[] found =
            [
                .. Directory.EnumerateDirectories(folder)
                    .Where(path => StepOf(path) is not null && File.Exists(Path.Combine(path, ManifestFile)))
                    .GroupBy(path => StepOf(path)!.Value)
                    .OrderBy(group => group.Key)
                    .Select(group => (group.OrderBy(path => IsReplaced(Path.GetFileName(path))).First(), group.Key)),
            ];

            // The entries of a folder are not read at one moment: the only checkpoint may be removed and the next one appear meanwhile.
            if (found.Length > 0 || attempt == Attempts || !File.Exists(Path.Combine(folder, PointerFile)))
                return found;
            Thread.Sleep(attempt);
        }
    }

    /// <summary>
    /// Returns the checkpoint that <c>latest</c> names, or the one with the greatest step if that file or checkpoint is missing, and those of
    /// earlier steps, newest first.
    /// </summary>
    public static IReadOnlyList<(string Path, long Step)> NewestFirst(string folder)
    {
        var all = Checkpoints(folder);
        var named = Pointed(folder) is { } name ? NumberAfter(Prefix, name) : null;
        var newest = all.Any(checkpoint => checkpoint.Step == named) ? named!.Value : long.MaxValue;
        return [.. all.Where(checkpoint => checkpoint.Step <= newest).Reverse()];
    }

    /// <summary>Returns the first of <see cref="NewestFirst"/>; <see langword="null"/> if there is none.</summary>
    public static string? Latest(string folder) => NewestFirst(folder) is [var (newest, _), ..] ? newest : null;

    /// <summary>
    /// Returns the name of a folder in <c>latest</c>, which may be written as a path; <see langword="null"/> if the file cannot be read or
    /// is empty.
    /// </summary>
    public static string? Pointed(string folder)
    {
        try
        {
            var text = DiskFile.ReadText(Path.Combine(folder, PointerFile)).Trim();
            var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(text));
            if (name.Length == 0)
                return null;

            // A path to another folder does not name a checkpoint of this run.
            var parent = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(text));
            return string.IsNullOrEmpty(parent) || IsSame(folder, parent) ? name : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }

    // A relative path is written from the folder of the run, or from the working directory, as in the path passed to a program.
    private static bool IsSame(string folder, string parent)
    {
        var run = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        return run == Full(Path.Combine(run, parent)) || run == Full(parent);

        static string Full(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
    }

    private static bool IsReplaced(string name) => name.StartsWith('.') && Path.GetExtension(name) == "." + Replaced;
}
