using System.Runtime.InteropServices;

namespace Diffusion.Core.FaultHost;

/// <summary>Makes writes beyond a size fail, as on a full disk, until disposed. Linux.</summary>
internal sealed class FileSizeLimit : IDisposable
{
    private const int Resource = 1;
    private const int Signal = 25;

    // For good: a signal may be told of after the limit is gone.
    private static PosixSignalRegistration? _ignored;

    private Limits _before;

    public FileSizeLimit(long bytes)
    {
        // By itself the signal ends the process; without it, the write fails.
        _ignored ??= PosixSignalRegistration.Create((PosixSignal)Signal, context => context.Cancel = true);
        Check(Get(Resource, out _before));
        var limits = new Limits { Soft = (ulong)bytes, Hard = _before.Hard };
        Check(Set(Resource, ref limits));
    }

    public void Dispose() => Check(Set(Resource, ref _before));

    private static void Check(int result)
    {
        if (result != 0)
            throw new InvalidOperationException("The size of files cannot be limited.");
    }

    [DllImport("libc", EntryPoint = "getrlimit")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Get(int resource, out Limits limits);

    [DllImport("libc", EntryPoint = "setrlimit")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Set(int resource, ref Limits limits);

    [StructLayout(LayoutKind.Sequential)]
    private struct Limits
    {
        public ulong Soft;
        public ulong Hard;
    }
}
