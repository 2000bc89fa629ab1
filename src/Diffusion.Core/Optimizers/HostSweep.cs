using System.Numerics;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Single passes over flat float32 buffers on the CPU, where a sequence of operators would read and write the buffers once for each
/// operator. The passes are elementwise, so that results do not depend on the number of threads.
/// </summary>
internal static class HostSweep
{
    /// <summary>The number of elements for which starting an additional thread is worthwhile.</summary>
    private const long ElementsPerThread = 1 << 16;

    /// <summary>The maximum number of elements of one part, so that the length of a part in bytes fits a span.</summary>
    private const long LongestPart = 1 << 28;

    /// <summary>A pass over one part of the buffers.</summary>
    public delegate void Pass(Span<Vector<float>> target, Span<Vector<float>> second, Span<Vector<float>> third, Span<Vector<float>> fourth);

    /// <summary>Returns whether these passes support a buffer of <see cref="FlatLayout"/>.</summary>
    public static bool Takes(Tensor buffer) => buffer.dtype == ScalarType.Float32 && buffer.device_type == DeviceType.CPU;

    /// <summary>Returns whether a tensor has the memory layout of the buffers of <see cref="FlatLayout"/>.</summary>
    public static bool IsFlat(Tensor buffer)
        => buffer.dim() == 1 && buffer.shape[0] % FlatParameters.Alignment == 0 && buffer.is_contiguous();

    /// <summary>Runs a pass over the same range of several buffers, on as many threads as torch uses.</summary>
    /// <param name="offset">The index of the first element: a multiple of the alignment of parameters.</param>
    /// <param name="count">The number of elements: a multiple of the alignment of parameters.</param>
    /// <param name="pass">Receives the parts of the buffers in the given order, and an empty span for each missing buffer.</param>
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
