using System.Diagnostics.CodeAnalysis;

namespace Diffusion.Core;

/// <summary>
/// Files that are added to a folder together. They are written to a hidden subfolder, and <see cref="Commit"/> moves them to the
/// folder; if a move fails, the earlier moves are undone. <see cref="Dispose"/> deletes the subfolder.
/// </summary>
[ExcludeFromCodeCoverage]
internal sealed class StagedFolder : IDisposable
{
    private readonly string _target;
    private readonly bool _isNew;
    private readonly string _root;

    /// <summary>Creates the hidden subfolder, and the folder if it does not exist.</summary>
    /// <exception cref="IOException">A folder cannot be created.</exception>
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

    /// <summary>The folder to which files are written. It may contain subfolders.</summary>
    public string Path => System.IO.Path.Combine(_root, "new");

    private string Old => System.IO.Path.Combine(_root, "old");

    /// <summary>Moves all files to the folder. Existing files of the same names are replaced.</summary>
    /// <param name="isObsolete">
    /// Returns whether another file is removed, given its path relative to the folder. It is called only for files in the folders that
    /// are written to. The default is <see langword="null"/>: no other file is removed.
    /// </param>
    /// <exception cref="IOException">A file cannot be moved. The folder is not changed.</exception>
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
