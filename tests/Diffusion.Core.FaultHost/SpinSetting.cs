using System.Runtime.InteropServices;

namespace Diffusion.Core.FaultHost;

/// <summary>What OpenMP reads after the setting of the library.</summary>
internal static class SpinSetting
{
    public static void Run()
    {
        Console.WriteLine($"set {HostSettings.SpinBriefly()}");
        Console.WriteLine($"count {Marshal.PtrToStringUTF8(Variable("GOMP_SPINCOUNT"))}");
    }

    [DllImport("libc", EntryPoint = "getenv", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint Variable(string name);
}
