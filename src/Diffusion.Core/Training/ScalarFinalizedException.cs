using System.Runtime.InteropServices;

namespace Diffusion.Core;

/// <summary>
/// The exception that is thrown when a training step fails because the garbage collector freed a number, which was passed to an
/// operator, while libtorch was reading it.
/// </summary>
/// <remarks>
/// TorchSharp 0.107 converts the number in <c>x * 0.5</c> or <c>x.mul(0.5)</c> to a <c>Scalar</c> and does not keep it alive during
/// the call, so a garbage collection on another thread can finalize it. The library keeps its own numbers alive; the number belongs to
/// a network, a loss, an optimizer or a callback of the application. Keep it alive there: <c>using Scalar half = 0.5; x.mul(half)</c>,
/// or use a static field for a constant. See docs/torchsharp.md.
/// </remarks>
public sealed class ScalarFinalizedException : InvalidOperationException
{
    /// <summary>Parts of the messages of libtorch for a scalar with an invalid type.</summary>
    private static readonly string[] Signs = ["Expected false to be true, but got false", "Unknown scalar type"];

    /// <summary>Initializes a new instance of the <see cref="ScalarFinalizedException"/> class.</summary>
    public ScalarFinalizedException()
    {
    }

    /// <summary>Initializes a new instance of the <see cref="ScalarFinalizedException"/> class with a message.</summary>
    public ScalarFinalizedException(string message)
        : base(message)
    {
    }

    /// <summary>
    /// Initializes a new instance of the <see cref="ScalarFinalizedException"/> class with a message and the error of libtorch.
    /// </summary>
    public ScalarFinalizedException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>
    /// <see langword="true"/> if the trainer is in the state before the step and can be saved or continue; <see langword="false"/> if
    /// the step failed while it updated the weights, and the trainer must be resumed from a checkpoint. The default is
    /// <see langword="true"/>.
    /// </summary>
    public bool StateIsWhole { get; init; } = true;

    internal static ScalarFinalizedException Of(TrainingState state, int repeats, Exception cause) => new(
        $"Step {state.Step + 1} failed{(repeats > 0 ? $" {repeats + 1} times" : "")}: the garbage collector freed a number that was passed "
        + "to an operator while libtorch was reading it. TorchSharp does not keep the number in `x * 0.5` or `x.mul(0.5)` alive. Write "
        + "`using Scalar half = 0.5; x.mul(half)`, or keep constants in static fields of type Scalar, in the network, the loss, the "
        + "optimizer and the callbacks of the application. "
        + (state.IsWhole
            ? "The trainer is in the state before the step: it can be saved, or continue."
            : "The step had begun to change the weights: resume from a checkpoint.")
        + $" libtorch reported: {cause.Message.Split('\n')[0]}",
        cause)
    {
        StateIsWhole = state.IsWhole,
    };

    /// <summary>Returns whether an error has the message for a scalar that was freed.</summary>
    internal static bool IsCauseOf(Exception error)
        => error is ExternalException && Signs.Any(sign => error.Message.Contains(sign, StringComparison.Ordinal));
}
