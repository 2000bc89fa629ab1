using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>A training step needed more memory than there is, on the device or on the host. The message names what lowers it.</summary>
public sealed class TrainingOutOfMemoryException : OutOfMemoryException
{
    /// <summary>
    /// The messages of the allocators of libtorch: those of the CPU, of CUDA, and of MPS, HIP and XPU in the form "X out of memory".
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

    /// <summary>A step that ran out of memory, with the error of the allocator.</summary>
    public TrainingOutOfMemoryException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>
    /// True when the trainer is as it was before the step, so that it can be saved or go on; false when memory ran out while the weights
    /// were being updated, and it has to be resumed from a checkpoint.
    /// </summary>
    public bool StateIsWhole { get; init; } = true;

    internal static TrainingOutOfMemoryException Of(TrainingState state, Exception cause) => new(
        $"Step {state.Step + 1} needs more memory than is available. These settings need less: a smaller TrainerOptions.MicroBatchSize, "
        + "UseGradientCheckpointing of the options of the network, Precision.BFloat16, fewer averages, an optimizer with less state, "
        + "a smaller BatchSize, network or sample. "
        + (state.IsWhole
            ? "The trainer is in the state before the step: it can be saved, or continue."
            : "The step had begun to change the weights: resume from a checkpoint.")
        + $" The allocator reported: {cause.Message}",
        cause)
    {
        StateIsWhole = state.IsWhole,
    };

    /// <summary>Whether an error is that of an allocator.</summary>
    internal static bool IsCauseOf(Exception error) => error switch
    {
        TrainingOutOfMemoryException => false,
        OutOfMemoryException => true,
        ExternalException => Signs.Any(sign => error.Message.Contains(sign, StringComparison.OrdinalIgnoreCase)),
        _ => false,
    };
}
