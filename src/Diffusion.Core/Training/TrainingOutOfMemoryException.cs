using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>
/// The exception that is thrown when a training step needs more memory than is available on the device or the host. The message names
/// settings that require less memory.
/// </summary>
public sealed class TrainingOutOfMemoryException : OutOfMemoryException
{
    /// <summary>Parts of the messages of libtorch's allocators: those of the CPU, and "out of memory" for CUDA, MPS, HIP and XPU.</summary>
    private static readonly string[] Signs = ["DefaultCPUAllocator", "out of memory", "not enough memory", "alloc_cpu"];

    /// <summary>Initializes a new instance of the <see cref="TrainingOutOfMemoryException"/> class.</summary>
    public TrainingOutOfMemoryException()
    {
    }

    /// <summary>Initializes a new instance of the <see cref="TrainingOutOfMemoryException"/> class with a message.</summary>
    public TrainingOutOfMemoryException(string message)
        : base(message)
    {
    }

    /// <summary>
    /// Initializes a new instance of the <see cref="TrainingOutOfMemoryException"/> class with a message and the error of the
    /// allocator.
    /// </summary>
    public TrainingOutOfMemoryException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>
    /// <see langword="true"/> if the trainer is in the state before the step and can be saved or continue; <see langword="false"/> if
    /// the step failed while it updated the weights, and the trainer must be resumed from a checkpoint. The default is
    /// <see langword="true"/>.
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

    /// <summary>Returns whether an allocator threw an exception.</summary>
    internal static bool IsCauseOf(Exception error) => error switch
    {
        TrainingOutOfMemoryException => false,
        OutOfMemoryException => true,
        ExternalException => Signs.Any(sign => error.Message.Contains(sign, StringComparison.OrdinalIgnoreCase)),
        _ => false,
    };
}
