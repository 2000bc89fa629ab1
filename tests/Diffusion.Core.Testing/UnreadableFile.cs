using System.Runtime.InteropServices;
using System.Text;

namespace Diffusion.Core.Testing;

/// <summary>Paths that are not those of files that can be read.</summary>
public static class UnreadableFile
{
    /// <summary>A folder, for which .NET throws an <see cref="UnauthorizedAccessException"/>.</summary>
    public const string Folder = "folder";

    /// <summary>A named pipe, which waits for a writer when it is opened.</summary>
    public const string Pipe = "pipe";

    /// <summary>A link to a device without an end.</summary>
    public const string Device = "device";

    /// <summary>A file without the right to read it.</summary>
    public const string Forbidden = "forbidden";

    private const uint OwnerMayReadAndWrite = 0x180;
    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(30);

    /// <summary>Creates one of these, or skips the test where it cannot be created.</summary>
    public static void Create(string path, string kind)
    {
        if (kind == Folder)
        {
            Directory.CreateDirectory(path);
            return;
        }

        if (!OperatingSystem.IsLinux())
        {
            Assert.Skip("The type of a file is known on Linux only.");
            return;
        }

        switch (kind)
        {
            case Pipe:
                MakePipe(Encoding.UTF8.GetBytes(path + '\0'), OwnerMayReadAndWrite).Should().Be(0);
                break;
            case Device:
                File.CreateSymbolicLink(path, "/dev/zero");
                break;
            case Forbidden:
                Assert.SkipWhen(Environment.IsPrivilegedProcess, "Permissions do not bind this user.");
                File.WriteAllBytes(path, new byte[64]);
                File.SetUnixFileMode(path, UnixFileMode.None);
                break;
        }
    }

    /// <summary>Requires an <see cref="IOException"/> with the name of the file, soon.</summary>
    public static async Task RefusesAsync(string path, Action read)
    {
        var refuse = () => Task.Run(read).WaitAsync(_patience);
        (await refuse.Should().ThrowAsync<IOException>()).WithMessage($"*{Path.GetFileName(path)}*");
    }

    [DllImport("libc", EntryPoint = "mkfifo")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int MakePipe(byte[] path, uint mode);
}
