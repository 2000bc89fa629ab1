using Diffusion.Core.Models;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core;

public abstract partial class Trainer
{
    [LoggerMessage(EventId = 1, Level = LogLevel.Information, Message = "Training from step {Step} to {Steps} on {Count} samples.")]
    private static partial void LogStart(ILogger logger, long step, long steps, long count);

    [LoggerMessage(
        EventId = 2,
        Level = LogLevel.Information,
        Message = "Step {Step} of {Steps}: loss {Loss:G5}, learning rate {LearningRate:G3}, gradient norm {GradientNorm:G3}, "
            + "{SamplesPerSecond:F1} samples/s.")]
    private static partial void LogProgress(
        ILogger logger, long step, long steps, double loss, double learningRate, double gradientNorm, double samplesPerSecond);

    [LoggerMessage(
        EventId = 3,
        Level = LogLevel.Warning,
        Message = "{New} steps before step {Step} were skipped, {Total} in all: their loss or gradient was not finite.")]
    private static partial void LogSkipped(ILogger logger, long @new, long total, long step);

    [LoggerMessage(EventId = 4, Level = LogLevel.Information, Message = "Saved step {Step} to {Path}.")]
    private static partial void LogSaved(ILogger logger, long step, string path);

    [LoggerMessage(EventId = 5, Level = LogLevel.Information, Message = "Resumed at step {Step} from {Path}.")]
    private static partial void LogResumed(ILogger logger, long step, string path);

    [LoggerMessage(EventId = 9, Level = LogLevel.Trace, Message = "Checkpoint: about to {Operation}.")]
    private static partial void LogFile(ILogger logger, string operation);

    [LoggerMessage(EventId = 10, Level = LogLevel.Warning, Message = "{Damage} Going on from the one before it, {Path}.")]
    private static partial void LogFellBack(ILogger logger, string damage, string path);

    [LoggerMessage(EventId = 11, Level = LogLevel.Warning, Message = "The report of the steps that were skipped is lost. {Reason}")]
    private static partial void LogNotWritten(ILogger logger, string reason);

    [LoggerMessage(EventId = 12, Level = LogLevel.Information, Message = "Starting from the weights of {Path}.")]
    private static partial void LogWeights(ILogger logger, string path);

    [LoggerMessage(EventId = 6, Level = LogLevel.Information, Message = "Cancelled at step {Step} of {Steps}; new checkpoint: {Path}.")]
    private static partial void LogCancelled(ILogger logger, long step, long steps, string path);

    [LoggerMessage(EventId = 7, Level = LogLevel.Information, Message = "Stopped at step {Step} of {Steps}: {Reason}")]
    private static partial void LogStopped(ILogger logger, long step, long steps, string reason);

    [LoggerMessage(EventId = 8, Level = LogLevel.Information, Message = "Step {Step}: {Name} {Value:G6}.")]
    private static partial void LogMeasured(ILogger logger, long step, string name, double value);

    [LoggerMessage(
        EventId = 14, Level = LogLevel.Information, Message = "{Size} of {Count} samples pass at once, to stay within {Limit} bytes.")]
    private protected static partial void LogMicroBatches(ILogger logger, int size, long count, long limit);

    [LoggerMessage(
        EventId = 13,
        Level = LogLevel.Warning,
        Message = "Step {Step} ran out of memory with {Before} samples at once; it is taken again with {After}.")]
    private protected static partial void LogHalved(ILogger logger, long step, long before, int after);

    [LoggerMessage(EventId = 15, Level = LogLevel.Error, Message = "{Callback} failed when the run ended.")]
    private static partial void LogNotEnded(ILogger logger, Exception error, string callback);

    [LoggerMessage(
        EventId = 16,
        Level = LogLevel.Warning,
        Message = "Step {Step} is repeated, attempt {Attempt} of {Attempts}: the garbage collector freed a number that code of the application "
            + "passed to an operator. Keep it alive in a Scalar: using Scalar half = 0.5; x.mul(half).")]
    private protected static partial void LogRepeated(ILogger logger, long step, int attempt, int attempts);

    [LoggerMessage(
        EventId = 17,
        Level = LogLevel.Warning,
        Message = "The data set has values in {Data}, and the model in {Model}, to which samplers clip. Scale the data, or set DataRange of the model.")]
    private protected static partial void LogRange(ILogger logger, DataRange data, DataRange model);

    [LoggerMessage(
        EventId = 18,
        Level = LogLevel.Warning,
        Message = "The first batch has values from {Min} to {Max}, which does not fit the range {Model} of the model, to which samplers clip. "
            + "Scale the data, or set DataRange of the model.")]
    private protected static partial void LogValues(ILogger logger, double min, double max, DataRange model);
}
