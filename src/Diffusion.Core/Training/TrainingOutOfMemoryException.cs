using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>A training step needed more memory than there is, on the device or on the host. The message names what lowers it.</summary>
public sealed class TrainingOutOfMemoryException : OutOfMemoryException
{
    /// <summary>
    /// What allocators of libtorch say: those of the CPU, of CUDA, and of MPS, HIP and XPU in the form "X out of memory".
    /// </summary>
    private static readonly string[] Signs = ["DefaultCPUAllocator", "out of memory", "not enough memory", "alloc_cpu"];

    /// <summary>A step that ran out of memory.</summary>
    public TrainingOutOfMemoryException()
    {
    }

    /// <summary>A step that ran out of memory.</summary>
    public TrainingOutOfMemoryException(string message)
        : base(message)
    {
    }

    /// <summary>A step that ran out of memory, with what the allocator said.</summary>
    public TrainingOutOfMemoryException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>
    /// True when the trainer is as it was before the step, so that it can be saved or go on; false when memory ran out while the weights
    /// were being updated, and it has to be resumed from a checkpoint.
    /// </summary>
    public bool StateIsWhole { get; init; } = true;

    /// <summary>Whether an error is that of an allocator.</summary>
    internal static bool IsCauseOf(Exception error) => error switch
    {
        TrainingOutOfMemoryException => false,
        OutOfMemoryException => true,
        ExternalException => Signs.Any(sign => error.Message.Contains(sign, StringComparison.OrdinalIgnoreCase)),
        _ => false,
    };
}
