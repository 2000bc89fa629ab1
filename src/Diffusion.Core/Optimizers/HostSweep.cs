using System.Numerics;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// One pass over flat float32 buffers on the CPU, where a chain of operators would read and write them once for each operator. The passes are
/// element by element, so that results do not depend on the number of threads.
/// </summary>
internal static class HostSweep
{
    /// <summary>Elements for which a further thread is worth its start.</summary>
    private const long ElementsPerThread = 1 << 16;

    /// <summary>Elements of one part at most, so that a part has fewer bytes than a span can count.</summary>
    private const long LongestPart = 1 << 28;

    /// <summary>The work on one part of the buffers.</summary>
    public delegate void Pass(Span<Vector<float>> target, Span<Vector<float>> second, Span<Vector<float>> third, Span<Vector<float>> fourth);

    /// <summary>Whether a buffer of <see cref="FlatLayout"/> is one that these passes take.</summary>
    public static bool Takes(Tensor buffer) => buffer.dtype == ScalarType.Float32 && buffer.device_type == DeviceType.CPU;

    /// <summary>Whether a tensor is laid out as the buffers of <see cref="FlatLayout"/> are.</summary>
    public static bool IsFlat(Tensor buffer)
        => buffer.dim() == 1 && buffer.shape[0] % FlatParameters.Alignment == 0 && buffer.is_contiguous();

    /// <summary>Runs a pass over the same range of some buffers, on as many threads as torch uses.</summary>
    /// <param name="offset">The first element: a multiple of the alignment of parameters.</param>
    /// <param name="count">The number of elements: likewise.</param>
    /// <param name="pass">Receives the parts of the buffers in their order; an empty span for each that is not given.</param>
    /// <param name="buffers">One to four contiguous float32 tensors of one dimension on the CPU.</param>
    public static void Run(long offset, long count, Pass pass, params Tensor[] buffers)
    {
        var threads = Math.Clamp(count / ElementsPerThread, 1, get_num_threads());
        var parts = (int)Math.Max(threads, (count + LongestPart - 1) / LongestPart);
        var size = (((count + parts - 1) / parts) + FlatParameters.Alignment - 1) / FlatParameters.Alignment * FlatParameters.Alignment;
        HostThreads.Run(
            parts,
            queue =>
            {
                while (queue.TryTake(out var part))
                    RunPart(part);
            },
            threads);

        void RunPart(long part)
        {
            var first = Math.Min(part * size, count);
            var length = Math.Min(size, count - first);
            using var scope = NewDisposeScope();
            Span<Vector<float>> Part(int index) => index < buffers.Length
                ? MemoryMarshal.Cast<byte, Vector<float>>(buffers[index].narrow(0, offset + first, length).bytes)
                : [];
            pass(Part(0), Part(1), Part(2), Part(3));
        }
    }
}
