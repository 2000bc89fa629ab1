namespace Diffusion.Core;

/// <summary>Finds the run that was probably meant when a folder without checkpoints is to be continued from.</summary>
internal static class SimilarRuns
{
    private const int MaxDistance = 2;

    /// <summary>
    /// Returns the folders beside a folder that contain checkpoints and whose names differ from its name in one or two characters. Names that
    /// differ only in digits, such as those of several seeds, belong to different runs.
    /// </summary>
    public static string[] Beside(string folder)
    {
        var name = Letters(Path.GetFileName(folder));
        if (name.Length == 0 || Path.GetDirectoryName(folder) is not { } parent)
            return [];
        try
        {
            return
            [
                .. Directory.EnumerateDirectories(parent)
                    .Where(other => Distance(name, Letters(Path.GetFileName(other))) is > 0 and <= MaxDistance
                        && RunFolder.Checkpoints(other).Count > 0)
                    .Order(StringComparer.Ordinal),
            ];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The number of characters to insert, remove or replace, where adjacent characters that were exchanged count as two.</summary>
    internal static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0]++;
            for (var j = 1; j <= b.Length; j++)
            {
                var above = row[j];
                row[j] = Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }

        return row[^1];
    }

    private static string Letters(string name) => string.Concat(name.Where(c => !char.IsAsciiDigit(c)));
}
