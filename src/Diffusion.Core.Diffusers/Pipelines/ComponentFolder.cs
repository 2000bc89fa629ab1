namespace Diffusion.Core.Diffusers;

/// <summary>Copies the folder of a component whose class is not supported.</summary>
internal static class ComponentFolder
{
    private const string Snapshots = "snapshots";
    private const string Blobs = "blobs";

    /// <summary>Copies all files. Links to files are replaced by the files.</summary>
    /// <remarks>
    /// The folder may have been downloaded, so that a link in it must not lead out of the folder of the pipeline: a private file would be
    /// copied into a pipeline that is passed on. In the cache of Hugging Face, the files of a pipeline are links to the folder <c>blobs</c>
    /// of the same repository, which is allowed.
    /// </remarks>
    /// <param name="from">The folder of the component, which is in the folder of the pipeline.</param>
    /// <param name="to">The folder to create.</param>
    /// <exception cref="IOException">A link leads out of the folder of the pipeline, or a file cannot be read or written.</exception>
    public static void Copy(string from, string to)
    {
        var pipeline = RealPath.Of(Path.GetDirectoryName(Path.GetFullPath(from))!);
        string[] allowed = Path.GetDirectoryName(pipeline) is { } parent && Path.GetFileName(parent) == Snapshots
            ? [pipeline, Path.Combine(Path.GetDirectoryName(parent)!, Blobs)]
            : [pipeline];
        Copy(from, to, allowed, [RealPath.Of(from)]);
    }

    private static void Copy(string from, string to, string[] allowed, IReadOnlyList<string> parents)
    {
        Require(from, allowed);
        DiskFile.CreateFolder(to);
        foreach (var file in DiskFile.List(from))
        {
            using var source = DiskFile.OpenRead(Require(file, allowed));
            AtomicFile.Write(Path.Combine(to, Path.GetFileName(file)), source.CopyTo);
        }

        foreach (var folder in DiskFile.Reading(from, () => Directory.GetDirectories(from)))
        {
            var real = RealPath.Of(folder);
            if (parents.Contains(real, StringComparer.Ordinal))
                throw new IOException($"Cannot copy '{folder}': it is a link to a folder that contains it.");
            Copy(folder, Path.Combine(to, Path.GetFileName(folder)), allowed, [.. parents, real]);
        }
    }

    private static string Require(string path, string[] allowed)
    {
        var real = RealPath.Of(path);
        return Array.Exists(allowed, folder => RealPath.IsWithin(real, folder))
            ? real
            : throw new IOException(
                Invariant($"Cannot copy '{path}': it is a link to '{real}', which is outside of '{allowed[0]}'. Replace the link ")
                + "by the file.");
    }
}
