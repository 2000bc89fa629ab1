using Diffusion.Core.Models;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The members of a trainer that do not depend on the type of its batches: its state, its averaged weights and its checkpoints.
/// </summary>
/// <remarks>
/// <para>Every random draw is a function of (seed, step). A run of 2k steps therefore equals a run of k steps that is saved, resumed in
/// another process and continued for k steps, bit for bit on one CPU.</para>
/// <para>A step whose loss or gradient is not finite is skipped: it counts as a step, and changes no weight, moment or average.</para>
/// <para>Before constructing a trainer, move the module to its device, tie and freeze its parameters, and load initial weights: the
/// constructor turns the parameters into views of one buffer. The trainer does not own the model; dispose the trainer first.</para>
/// <para>An instance must not be used by several threads at once. Several trainers may be used at once, each with its own model.</para>
/// </remarks>
public abstract class Trainer : IDisposable
{
    /// <summary>The name of the metric that contains the mean training loss.</summary>
    internal const string LossMetric = "loss";

    private bool _disposed;

    private protected Trainer(nn.Module module, Func<IDisposable?>? beginInference, TrainerOptions? options, ILogger? logger)
    {
        ArgumentNullException.ThrowIfNull(module);
        Log = logger ?? NullLogger.Instance;
        options ??= new TrainerOptions();
        options.Validate();
        State = new TrainingState(module, beginInference, options);
        try
        {
            Checkpoints = new RunCheckpoints(State, Identify, Log);
        }
        catch
        {
            State.Dispose();
            throw;
        }

        if (options.AllowTf32 is { } allowed)
            (backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32) = (allowed, allowed);
    }

    /// <summary>The number of completed steps, including skipped ones.</summary>
    public long Step => State.Step;

    /// <summary>The mean loss of the last batch; NaN before the first step. Reading it waits for the device.</summary>
    public double LastLoss => State.OptimizerStep.Loss;

    /// <summary>
    /// The norm of all gradients of the last step, before clipping; NaN before the first step. Reading it waits for the device.
    /// </summary>
    public double LastGradientNorm => State.OptimizerStep.GradientNorm;

    /// <summary>
    /// The number of steps that were skipped because their loss or gradient was not finite. Reading it waits for the device.
    /// </summary>
    public long SkippedSteps => State.OptimizerStep.Skipped;

    /// <summary>The device of the weights.</summary>
    public Device Device => State.Parameters.Device;

    /// <summary>
    /// The number of samples in a forward pass: <see cref="TrainerOptions.MicroBatchSize"/>, or the number that fits the memory, which
    /// the trainer determines. <see langword="null"/> if whole batches are processed, or if the number is not determined yet.
    /// </summary>
    public int? MicroBatchSize => State.MicroBatchSize;

    /// <summary>
    /// The newest value of each metric: <c>loss</c>, which is the mean loss of the last report, the metrics of callbacks, and those of
    /// <see cref="RecordMetric"/>. Each checkpoint contains them.
    /// </summary>
    public IReadOnlyDictionary<string, RecordedMetric> Metrics => State.Metrics;

    /// <summary>The options.</summary>
    protected TrainerOptions Options => State.Options;

    /// <summary>The logger that receives reports, checkpoints and skipped steps.</summary>
    protected ILogger Logger => Log;

    internal ILogger Log { get; }

    internal TrainingState State { get; }

    private protected RunCheckpoints Checkpoints { get; }

    /// <summary>Records a metric of the current weights, such as a validation loss, for <see cref="CheckpointRetention"/>.</summary>
    /// <param name="name">The name.</param>
    /// <param name="value">The value. NaN is worse than any other value.</param>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    public void RecordMetric(string name, double value)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        State.Metrics[name] = new RecordedMetric(value, Step);
    }

    /// <summary>
    /// Replaces the weights of the module by averaged weights and sets the module to evaluation mode, until the result is disposed.
    /// The trainer cannot take a step during that time.
    /// </summary>
    /// <param name="name">
    /// The name of the average: <see cref="TrainerOptions.MainEma"/>, which is the default, or a key of
    /// <see cref="TrainerOptions.ExtraEmas"/>.
    /// </param>
    /// <returns>The scope, which restores the trained weights when it is disposed. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">There is no average with this name.</exception>
    /// <exception cref="InvalidOperationException">
    /// A step is running, another average or the trained weights are in use, or the parameters of the module were replaced.
    /// </exception>
    public IDisposable UseEma(string name = TrainerOptions.MainEma) => State.Averages.BeginInference(State.Averages.IndexOf(name));

    /// <summary>
    /// Writes a checkpoint of the weights, the averaged weights, the state of the optimizer, the step and the seed. The step and the
    /// seed determine the random draws and the position in the data.
    /// </summary>
    /// <param name="folder">The folder of the checkpoint. An existing checkpoint is replaced.</param>
    /// <exception cref="CheckpointException">The checkpoint cannot be written. No partial checkpoint remains.</exception>
    /// <exception cref="InvalidOperationException">
    /// The averaged weights are in use, the parameters of the module were replaced, or a step failed while it changed the weights.
    /// </exception>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        Checkpoints.Save(folder);
    }

    /// <summary>
    /// Writes a checkpoint of this step to <see cref="TrainerOptions.CheckpointFolder"/>, and removes the checkpoints that are no
    /// longer kept according to <see cref="TrainerOptions.KeepCheckpoints"/> or <see cref="TrainerOptions.CheckpointRetention"/>.
    /// </summary>
    /// <returns>The folder of the checkpoint.</returns>
    /// <exception cref="InvalidOperationException">The option is not set; or as for <see cref="Save(string)"/>.</exception>
    /// <exception cref="RunInUseException">Another trainer, in this process or another, is writing to the folder.</exception>
    /// <inheritdoc cref="Save(string)" path="/exception[@cref='CheckpointException']"/>
    public string Save() => Checkpoints.Save();

    /// <summary>Restores the state of a checkpoint, from which the run continues as if it had not stopped.</summary>
    /// <remarks>
    /// The following may differ from the run that saved the checkpoint: the number of steps, the learning rate and its schedule, decay
    /// rates of the optimizer and of averages, clipping, the size of micro-batches, the device, TF32, callbacks, the intervals of
    /// reports and checkpoints, and the checkpoints that are kept. The following must not differ: network, noise schedule, seed, batch
    /// size, size of the data set, precision, type of optimizer, set of averages, type of timestep sampler. To start a new run from
    /// the weights of a checkpoint, use <see cref="LoadWeights"/>.
    /// </remarks>
    /// <param name="folder">
    /// A checkpoint, or a folder of checkpoints, of which the newest is used; see <see cref="CheckpointStore"/>.
    /// </param>
    /// <param name="options">The options. The default is a new <see cref="ResumeOptions"/>.</param>
    /// <exception cref="CheckpointException">
    /// There is no checkpoint, a file is missing or damaged, or a setting that must not differ is different. The message names the
    /// file, the expected value and the actual value. The state is unchanged.
    /// </exception>
    /// <exception cref="InvalidOperationException">
    /// The averaged weights are in use, or the parameters of the module were replaced.
    /// </exception>
    public void Resume(string folder, ResumeOptions? options = null)
    {
        if (!TryResume(folder, options))
            throw new CheckpointException(Path.GetFullPath(folder), "there is no checkpoint here.", null);
    }

    /// <summary>Restores the state of a checkpoint, if there is one. See <see cref="Resume"/>.</summary>
    /// <returns>
    /// <see langword="false"/> if there is no checkpoint; otherwise <see langword="true"/>. A damaged checkpoint throws an exception.
    /// </returns>
    /// <inheritdoc cref="Resume" path="/param"/>
    /// <inheritdoc cref="Resume" path="/exception"/>
    public bool TryResume(string folder, ResumeOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        return Checkpoints.Resume(folder, datasetCount: null, options ?? ResumeOptions.Default);
    }

    /// <summary>Loads initial weights into the trained weights and into all averages. The optimizer and the step are not changed.</summary>
    /// <param name="path">
    /// A checkpoint; a folder of checkpoints, of which the newest is used; or a path that <see cref="SafetensorsSet.Open"/> accepts: a
    /// safetensors file, a model file, an index of several files, or a folder with one of these.
    /// </param>
    /// <param name="average">
    /// The name of the average to load from a checkpoint; <see langword="null"/> for the trained weights. The default is the main
    /// average. It is ignored if the path is not a checkpoint.
    /// </param>
    /// <param name="options">The options for names and types. The default is a new <see cref="WeightOptions"/>.</param>
    /// <returns>The conversions that were applied.</returns>
    /// <exception cref="CheckpointException">A checkpoint is damaged, or does not contain the average. The state is unchanged.</exception>
    /// <exception cref="FileNotFoundException">There is no such file. The state is unchanged.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged, or the names, shapes or types of its tensors do not match the network. The state is unchanged.
    /// </exception>
    /// <exception cref="InvalidOperationException">The trainer has taken steps, or its averaged weights are in use.</exception>
    public WeightReport LoadWeights(string path, string? average = TrainerOptions.MainEma, WeightOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return Checkpoints.LoadWeights(path, average, options);
    }

    /// <summary>Disposes the state of the optimizer and the averaged weights. The model keeps the trained weights.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Disposes the resources of the trainer.</summary>
    /// <param name="disposing"><see langword="true"/> if called by <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (_disposed || !disposing)
            return;
        _disposed = true;
        State.Dispose();
    }

    /// <summary>
    /// Returns the settings that a checkpoint contains in addition to the state. They are compared when the run is resumed.
    /// </summary>
    private protected virtual RunIdentity Identify() => new();

    /// <summary>Adds what the metrics and the report of a run contain about this kind of trainer: texts by name.</summary>
    internal virtual void Describe(IDictionary<string, string> texts)
    {
    }

    private protected void RequireAlive() => ObjectDisposedException.ThrowIf(_disposed, this);
}

/// <summary>Options for resuming a run.</summary>
public sealed record ResumeOptions
{
    internal static readonly ResumeOptions Default = new();

    /// <summary>
    /// Whether to continue from the newest undamaged checkpoint in a folder, with a warning, if the newest one is damaged. The default is
    /// <see langword="false"/>: a damaged checkpoint is an error, whose message contains the path of the previous checkpoint.
    /// </summary>
    public bool FallBack { get; init; }
}
