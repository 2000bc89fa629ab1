using System.Diagnostics.CodeAnalysis;

namespace Diffusion.Core;

/// <summary>Paths without links, to decide whether a file lies in a folder.</summary>
[ExcludeFromCodeCoverage]
internal static class RealPath
{
    private const int MaxLinks = 40;

    /// <summary>Returns the full path with all links resolved. The last components need not exist.</summary>
    /// <exception cref="IOException">There are more than 40 links, as in a loop.</exception>
    public static string Of(string path)
    {
        path = Path.GetFullPath(path);
        var real = Path.GetPathRoot(path)!;
        var pending = new Stack<string>();
        var links = 0;
        Push(path[real.Length..]);
        while (pending.TryPop(out var part))
        {
            var next = part == ".." ? Path.GetDirectoryName(real) ?? real : Path.Combine(real, part);
            if (part == ".." || DiskFile.Reading(next, () => new FileInfo(next).LinkTarget) is not { } target)
            {
                real = next;
                continue;
            }

            if (++links > MaxLinks)
                throw new IOException(Invariant($"'{path}' contains more than {MaxLinks} links."));
            if (Path.IsPathRooted(target))
                (real, target) = (Path.GetPathRoot(target)!, target[Path.GetPathRoot(target)!.Length..]);
            Push(target);
        }

        return real;

        void Push(string parts)
        {
            char[] separators = [Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar];
            foreach (var part in parts.Split(separators, StringSplitOptions.RemoveEmptyEntries).Where(part => part != ".").Reverse())
                pending.Push(part);
        }
    }

    /// <summary>Returns whether a path is that of a file or a folder within a folder. Neither may contain links.</summary>
    public static bool IsWithin(string path, string folder)
        => path.StartsWith(Path.TrimEndingDirectorySeparator(folder) + Path.DirectorySeparatorChar, StringComparison.Ordinal);
}
