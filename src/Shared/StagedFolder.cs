using System.Diagnostics.CodeAnalysis;

namespace Diffusion.Core;

/// <summary>
/// Files that take their places in a folder together: written to a hidden folder in it, moved by <see cref="Commit"/>, removed where that
/// was not reached. Where a move fails, the earlier ones are undone.
/// </summary>
[ExcludeFromCodeCoverage]
internal sealed class StagedFolder : IDisposable
{
    private readonly string _target;
    private readonly bool _isNew;
    private readonly string _root;

    /// <summary>Creates the hidden folder, and the folder itself where it is missing.</summary>
    /// <exception cref="IOException">It cannot be created.</exception>
    public StagedFolder(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        _target = System.IO.Path.GetFullPath(folder);
        _isNew = !Directory.Exists(_target);
        _root = System.IO.Path.Combine(_target, $".{Guid.NewGuid():N}.tmp");
        try
        {
            Directory.CreateDirectory(Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new IOException(Invariant($"Cannot write to '{_target}': {e.Message}"), e);
        }
    }

    /// <summary>Where to write files, also in folders.</summary>
    public string Path => System.IO.Path.Combine(_root, "new");

    private string Old => System.IO.Path.Combine(_root, "old");

    /// <summary>Moves every file to its place, over one that may be there.</summary>
    /// <param name="isObsolete">
    /// Which other files go, by path relative to the folder; only files of the folders that are written to.
    /// </param>
    /// <exception cref="IOException">A file cannot be moved; everything is as it was.</exception>
    public void Commit(Func<string, bool>? isObsolete = null)
    {
        var undo = new Stack<Action>();
        try
        {
            var files = Relative(Path, SearchOption.AllDirectories);
            var folders = files.Select(file => System.IO.Path.GetDirectoryName(file)!).Distinct().ToArray();
            foreach (var folder in folders)
                MakeFolder(folder, undo);
            var present = folders.SelectMany(folder => Relative(System.IO.Path.Combine(_target, folder), SearchOption.TopDirectoryOnly)
                .Select(file => System.IO.Path.Combine(folder, file))).ToArray();
            foreach (var file in present.Where(file => files.Contains(file) || isObsolete?.Invoke(file) == true))
                Move(System.IO.Path.Combine(_target, file), System.IO.Path.Combine(Old, file), undo);
            foreach (var file in files)
                Move(System.IO.Path.Combine(Path, file), System.IO.Path.Combine(_target, file), undo);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            while (undo.TryPop(out var action))
                action();
            throw new IOException(Invariant($"Cannot write to '{_target}': {e.Message}"), e);
        }
    }

    public void Dispose()
    {
        if (Directory.Exists(_root))
            Directory.Delete(_root, recursive: true);
        if (_isNew && Directory.Exists(_target) && !Directory.EnumerateFileSystemEntries(_target).Any())
            Directory.Delete(_target);
    }

    private static string[] Relative(string folder, SearchOption depth)
        => [.. Directory.GetFiles(folder, "*", depth).Select(file => System.IO.Path.GetRelativePath(folder, file))];

    private static void Move(string from, string to, Stack<Action> undo)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(to)!);
        File.Move(from, to);
        undo.Push(() => File.Move(to, from));
    }

    private void MakeFolder(string folder, Stack<Action> undo)
    {
        var path = System.IO.Path.Combine(_target, folder);
        if (Directory.Exists(path))
            return;
        Directory.CreateDirectory(path);
        undo.Push(() => Directory.Delete(path));
    }
}
