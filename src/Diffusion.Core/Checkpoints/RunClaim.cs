using System.Globalization;
using System.Runtime.Versioning;
using System.Text;

namespace Diffusion.Core;

/// <summary>
/// The exclusive right of one trainer to write to the folder of a run. The operating system releases it when the process ends for any
/// reason.
/// </summary>
/// <remarks>
/// On Unix it is a lock on the folder itself, on Windows one on the file <c>run.owner</c>; neither prevents anyone from reading or copying
/// the files of the folder. <c>run.owner</c> describes the owner for the message of the exception, and is removed at the end. File systems
/// without locks, such as some network file systems, do not enforce the claim.
/// </remarks>
internal sealed class RunClaim : IDisposable
{
    /// <summary>The file that describes the owner.</summary>
    public const string OwnerFile = "run.owner";

    private readonly IDisposable _lock;
    private readonly string _owner;

    private RunClaim(IDisposable @lock, string owner) => (_lock, _owner) = (@lock, owner);

    /// <summary>Claims an existing folder.</summary>
    /// <exception cref="RunInUseException">Another trainer has claimed it, in this process or in another.</exception>
    /// <exception cref="IOException">The folder cannot be written to.</exception>
    public static RunClaim Take(string folder)
    {
        var owner = Path.Combine(folder, OwnerFile);
        var claim = new RunClaim(
            (OperatingSystem.IsWindows() ? TryLock(owner) : FolderEntries.TryLock(folder)) ?? throw RunInUseException.Of(folder, Read(owner)),
            owner);
        try
        {
            using var stream = new FileStream(owner, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
            var text = string.Create(
                CultureInfo.InvariantCulture,
                $"process {Environment.ProcessId} on {Environment.MachineName} since {DateTimeOffset.UtcNow:yyyy-MM-dd HH:mm:ss} UTC\n");
            stream.Write(Encoding.UTF8.GetBytes(text));
            stream.SetLength(stream.Position);
            return claim;
        }
        catch
        {
            claim.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        try
        {
            if (OperatingSystem.IsWindows())
                _lock.Dispose();
            File.Delete(_owner);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The text is only used for the message of an exception.
        }

        _lock.Dispose();
    }

    /// <summary>Locks a byte that the file does not contain, so that its content can be read.</summary>
    [UnsupportedOSPlatform("macos")]
    private static FileStream? TryLock(string path)
    {
        var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            file.Lock(long.MaxValue - 1, 1);
            return file;
        }
        catch (IOException)
        {
            file.Dispose();
            return null;
        }
    }

    private static string? Read(string path)
    {
        try
        {
            return DiskFile.ReadText(path).Trim() is { Length: > 0 } text ? text : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

/// <summary>The exception that is thrown when another trainer writes to the folder of a run. Nothing was changed in the folder.</summary>
public sealed class RunInUseException : IOException
{
    /// <summary>Initializes a new instance of the <see cref="RunInUseException"/> class.</summary>
    public RunInUseException()
    {
    }

    /// <summary>Initializes a new instance of the <see cref="RunInUseException"/> class with a message.</summary>
    public RunInUseException(string message)
        : base(message)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="RunInUseException"/> class with a message and a cause.</summary>
    public RunInUseException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The folder of the run; <see langword="null"/> if it is unknown.</summary>
    public string? Folder { get; init; }

    /// <summary>
    /// The owner of the folder, such as <c>process 1234 on host since 2026-01-31 12:00:00 UTC</c>; <see langword="null"/> if it is unknown.
    /// </summary>
    public string? Owner { get; init; }

    internal static RunInUseException Of(string folder, string? owner)
        => new($"{folder}: another trainer writes to this run: {owner ?? "its process is unknown"}. Use another folder, or end that run.")
        {
            Folder = folder,
            Owner = owner,
        };
}
