using Diffusion.Core.Models;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core;

/// <summary>The log messages of a trainer.</summary>
internal static partial class TrainerLog
{
    [LoggerMessage(EventId = 1, Level = LogLevel.Information, Message = "Training from step {Step} to {Steps} on {Count} samples.")]
    public static partial void Started(ILogger logger, long step, long steps, long count);

    [LoggerMessage(
        EventId = 2,
        Level = LogLevel.Information,
        Message = "Step {Step} of {Steps}: loss {Loss:G5}, learning rate {LearningRate:G3}, gradient norm {GradientNorm:G3}, "
            + "{SamplesPerSecond:F1} samples/s.")]
    public static partial void Progress(
        ILogger logger, long step, long steps, double loss, double learningRate, double gradientNorm, double samplesPerSecond);

    [LoggerMessage(
        EventId = 3,
        Level = LogLevel.Warning,
        Message = "{New} steps before step {Step} were skipped, {Total} in total: their loss or gradient was not finite.")]
    public static partial void Skipped(ILogger logger, long @new, long total, long step);

    [LoggerMessage(EventId = 4, Level = LogLevel.Information, Message = "Saved step {Step} to {Path}.")]
    public static partial void Saved(ILogger logger, long step, string path);

    [LoggerMessage(EventId = 5, Level = LogLevel.Information, Message = "Resumed at step {Step} from {Path}.")]
    public static partial void Resumed(ILogger logger, long step, string path);

    [LoggerMessage(EventId = 6, Level = LogLevel.Information, Message = "Cancelled at step {Step} of {Steps}; new checkpoint: {Path}.")]
    public static partial void Cancelled(ILogger logger, long step, long steps, string path);

    [LoggerMessage(EventId = 7, Level = LogLevel.Information, Message = "Stopped at step {Step} of {Steps}: {Reason}")]
    public static partial void Stopped(ILogger logger, long step, long steps, string reason);

    [LoggerMessage(EventId = 8, Level = LogLevel.Information, Message = "Step {Step}: {Name} {Value:G6}.")]
    public static partial void Metric(ILogger logger, long step, string name, double value);

    [LoggerMessage(EventId = 9, Level = LogLevel.Trace, Message = "Checkpoint: about to {Operation}.")]
    public static partial void FileOperation(ILogger logger, string operation);

    [LoggerMessage(EventId = 10, Level = LogLevel.Warning, Message = "{Damage} Continuing from the checkpoint before it, {Path}.")]
    public static partial void FellBack(ILogger logger, string damage, string path);

    [LoggerMessage(EventId = 11, Level = LogLevel.Warning, Message = "The report of the skipped steps could not be written. {Reason}")]
    public static partial void DivergenceNotWritten(ILogger logger, string reason);

    [LoggerMessage(EventId = 12, Level = LogLevel.Information, Message = "Starting from the weights of {Path}.")]
    public static partial void WeightsLoaded(ILogger logger, string path);

    [LoggerMessage(
        EventId = 13,
        Level = LogLevel.Warning,
        Message = "Step {Step} ran out of memory with {Before} samples in a forward pass; it is repeated with {After}.")]
    public static partial void Halved(ILogger logger, long step, long before, int after);

    [LoggerMessage(
        EventId = 14,
        Level = LogLevel.Information,
        Message = "A forward pass processes {Size} of the {Count} samples of a batch, to use at most {Limit} bytes.")]
    public static partial void MicroBatches(ILogger logger, int size, long count, long limit);

    [LoggerMessage(EventId = 15, Level = LogLevel.Error, Message = "The callback {Callback} failed in {Member} at step {Step}.")]
    public static partial void CallbackFailed(ILogger logger, Exception error, string callback, string member, long step);

    [LoggerMessage(
        EventId = 16,
        Level = LogLevel.Warning,
        Message = "Step {Step} is repeated, attempt {Attempt} of {Attempts}: the garbage collector freed a number that the application "
            + "passed to an operator. Keep it alive in a Scalar: using Scalar half = 0.5; x.mul(half).")]
    public static partial void Repeated(ILogger logger, long step, int attempt, int attempts);

    [LoggerMessage(
        EventId = 17,
        Level = LogLevel.Warning,
        Message = "The range of the data set is {Data}, but that of the model, to which samplers clip, is {Model}. "
            + "Scale the data, or set DataRange of the model.")]
    public static partial void RangeOfDataset(ILogger logger, DataRange data, DataRange model);

    [LoggerMessage(
        EventId = 18,
        Level = LogLevel.Warning,
        Message = "The first batch has values from {Min} to {Max}, which does not match the range {Model} of the model, to which samplers "
            + "clip. Scale the data, or set DataRange of the model.")]
    public static partial void RangeOfBatch(ILogger logger, double min, double max, DataRange model);

    [LoggerMessage(EventId = 19, Level = LogLevel.Error, Message = "Step {Step} could not be saved after the run failed or was cancelled.")]
    public static partial void NotSaved(ILogger logger, Exception error, long step);

    [LoggerMessage(
        EventId = 20,
        Level = LogLevel.Warning,
        Message = "{Path} has the name of a checkpoint, but is none. It is renamed to {Target}, because the checkpoint of this step is written there.")]
    public static partial void ForeignFolder(ILogger logger, string path, string target);

    [LoggerMessage(
        EventId = 21,
        Level = LogLevel.Warning,
        Message = "The file 'latest' names '{Name}', which is no checkpoint of this folder. The newest checkpoint is used: {Path}.")]
    public static partial void PointerIgnored(ILogger logger, string name, string path);

    [LoggerMessage(
        EventId = 22,
        Level = LogLevel.Warning,
        Message = "{Callback} could not write in {Member} at step {Step}; the run continues. Further records may be missing. {Reason}")]
    public static partial void RecordLost(ILogger logger, string callback, string member, long step, string reason);

    [LoggerMessage(EventId = 23, Level = LogLevel.Warning, Message = "{Callback} can write again at step {Step}; {Count} records are missing.")]
    public static partial void RecordsMissing(ILogger logger, string callback, long step, int count);

    [LoggerMessage(
        EventId = 24,
        Level = LogLevel.Warning,
        Message = "{Count} lines of {Path} are no records of a run; they were moved to {Target}. The first: {Reason}")]
    public static partial void LinesSetAside(ILogger logger, int count, string path, string target, string reason);

    [LoggerMessage(
        EventId = 25,
        Level = LogLevel.Warning,
        Message = "EarlyStop waits for the metric '{Metric}', which has no value up to step {Step}. The metrics with values are: {Names}.")]
    public static partial void MetricMissing(ILogger logger, string metric, long step, string names);

    [LoggerMessage(
        EventId = 28,
        Level = LogLevel.Information,
        Message = "The data set has {Unused}, which the network was not built for: it is trained without them.")]
    public static partial void ConditionUnused(ILogger logger, string unused);

    [LoggerMessage(
        EventId = 29,
        Level = LogLevel.Information,
        Message = "TrainerOptions.CheckpointFolder is not set: nothing of the run is kept but the model in memory.")]
    public static partial void NothingKept(ILogger logger);

    [LoggerMessage(
        EventId = 26,
        Level = LogLevel.Warning,
        Message = "The warm-up has {WarmupSteps} steps and the run {Steps}, so the learning rate reaches {Rate:G4} instead of {Target:G4}.")]
    public static partial void WarmUpTooLong(ILogger logger, long warmupSteps, long steps, double rate, double target);

    [LoggerMessage(
        EventId = 27,
        Level = LogLevel.Warning,
        Message = "There is no checkpoint in {Folder}, so the run starts at step 0. There are checkpoints in {Others}. Set "
            + "TrainerOptions.RequireCheckpoint to make this an error.")]
    public static partial void StartsAnew(ILogger logger, string folder, string others);
}
