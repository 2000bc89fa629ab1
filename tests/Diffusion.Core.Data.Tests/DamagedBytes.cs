using System.Diagnostics;

namespace Diffusion.Core.Data.Tests;

/// <summary>Files that are changed at random, and what reading one of them may take.</summary>
internal static class DamagedBytes
{
    private const long MostBytes = 32L << 20;
    private static readonly TimeSpan _mostTime = TimeSpan.FromSeconds(5);

    /// <summary>Returns a file with one to four changes.</summary>
    public static byte[] Of(byte[] file, Random random)
    {
        List<byte> bytes = [.. file];
        for (var n = random.Next(4); n >= 0; n--)
            Change(bytes, random);
        return [.. bytes];
    }

    /// <summary>Reads, and returns whether that succeeded. Only exceptions of one type may be thrown.</summary>
    public static bool Reads<TException>(Action read, string what)
        where TException : Exception
    {
        var (bytes, clock, succeeded) = (GC.GetAllocatedBytesForCurrentThread(), Stopwatch.StartNew(), true);
        try
        {
            read();
        }
        catch (TException e)
        {
            e.Message.Should().NotBeNullOrWhiteSpace();
            succeeded = false;
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{what}: {e.GetType()}: {e.Message}", e);
        }

        (GC.GetAllocatedBytesForCurrentThread() - bytes).Should().BeLessThan(MostBytes, what);
        clock.Elapsed.Should().BeLessThan(_mostTime, what);
        return succeeded;
    }

    private static void Change(List<byte> bytes, Random random)
    {
        if (bytes.Count == 0)
            return;
        // Most of what a format says about itself stands near the beginning.
        var at = random.Next(random.Next(2) == 0 ? Math.Min(bytes.Count, 40) : bytes.Count);
        var count = Math.Min(1 + random.Next(16), bytes.Count - at);
        switch (random.Next(8))
        {
            case 0:
                bytes[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                bytes[at] = (byte)random.Next(256);
                break;
            case 2:
                bytes.RemoveRange(at, bytes.Count - at);
                break;
            case 3:
                bytes.RemoveRange(at, count);
                break;
            case 4:
                bytes.InsertRange(at, bytes.GetRange(at, count));
                break;
            case 5:
                bytes.AddRange(bytes.GetRange(at, count));
                break;
            default:
                var value = (byte[])[0, 1, 0x7F, 0x80, 0xFF];
                var fill = value[random.Next(value.Length)];
                for (var i = at; i < at + Math.Min(count, 4); i++)
                    bytes[i] = fill;
                break;
        }
    }
}
