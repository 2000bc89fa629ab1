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
/// <para>The constructor turns the parameters into views of one buffer. Move the module to its device, tie and freeze its parameters, and
/// load initial weights before. The trainer does not own the model; dispose the trainer first.</para>
/// <para>An instance must not be used by several threads at once. Several trainers may be used at once, each with its own model.</para>
/// </remarks>
public abstract class Trainer : IDisposable
{
    /// <summary>The name of the mean training loss among the metrics.</summary>
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

    /// <summary>The completed steps, including skipped ones.</summary>
    public long Step => State.Step;

    /// <summary>The mean loss of the last batch; NaN before the first. Reading it waits for the device.</summary>
    public double LastLoss => State.OptimizerStep.Loss;

    /// <summary>
    /// The norm of all gradients of the last step, before clipping; NaN before the first step. Reading it waits for the device.
    /// </summary>
    public double LastGradientNorm => State.OptimizerStep.GradientNorm;

    /// <summary>The steps that were skipped because their loss or gradient was not finite. Reading it waits for the device.</summary>
    public long SkippedSteps => State.OptimizerStep.Skipped;

    /// <summary>The device of the weights.</summary>
    public Device Device => State.Parameters.Device;

    /// <summary>
    /// The number of samples in a forward pass: <see cref="TrainerOptions.MicroBatchSize"/>, or the number that was found to fit the memory.
    /// <see langword="null"/> for whole batches, and until the first step has found the number.
    /// </summary>
    public int? MicroBatchSize => State.MicroBatchSize;

    /// <summary>
    /// The newest value of each metric: <c>loss</c>, the mean loss of the last report, the metrics of callbacks, and those of
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
    /// <param name="value">The value; NaN counts as the worst.</param>
    /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
    public void RecordMetric(string name, double value)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        State.Metrics[name] = new RecordedMetric(value, Step);
    }

    /// <summary>
    /// Puts averaged weights in the module, and the module in evaluation mode, until the result is disposed. The trainer cannot take a step
    /// in the meantime.
    /// </summary>
    /// <param name="name"><see cref="TrainerOptions.MainEma"/>, or one of <see cref="TrainerOptions.ExtraEmas"/>.</param>
    /// <returns>A scope. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">There is no such average.</exception>
    /// <exception cref="InvalidOperationException">A step is running, or another average is in use.</exception>
    public IDisposable UseEma(string name = TrainerOptions.MainEma) => State.Averages.BeginInference(State.Averages.IndexOf(name));

    /// <summary>
    /// Writes a checkpoint: weights, averaged weights, the state of the optimizer, step and seed, from which the random draws and the
    /// position in the data follow.
    /// </summary>
    /// <param name="folder">The folder to create. A checkpoint that is already there is replaced.</param>
    /// <exception cref="CheckpointException">The checkpoint cannot be written; nothing half-written remains.</exception>
    /// <exception cref="InvalidOperationException">
    /// The averaged weights are in use, the parameters of the module were replaced, or a step failed while it changed the weights.
    /// </exception>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        Checkpoints.Save(folder);
    }

    /// <summary>
    /// Writes a checkpoint of this step to <see cref="TrainerOptions.CheckpointFolder"/>, and removes the checkpoints that are not to be
    /// kept.
    /// </summary>
    /// <returns>The folder of the checkpoint.</returns>
    /// <exception cref="InvalidOperationException">The option is not set; or as for <see cref="Save(string)"/>.</exception>
    /// <exception cref="RunInUseException">Another trainer, in this process or another, is writing to the folder.</exception>
    /// <inheritdoc cref="Save(string)" path="/exception[@cref='CheckpointException']"/>
    public string Save() => Checkpoints.Save();

    /// <summary>Restores the state of a checkpoint, from which the run continues as if it had not stopped.</summary>
    /// <remarks>
    /// These may differ from the run that saved it: the number of steps, the learning rate and its schedule, decay rates of the optimizer
    /// and of averages, clipping, the size of micro-batches, the device, TF32, callbacks, the intervals of reports and checkpoints, and
    /// which checkpoints are kept. The following must not differ: network, noise schedule, seed, batch size, size of the data set,
    /// precision, type of optimizer, set of averages, type of timestep sampler. To start a new run from its weights, see
    /// <see cref="LoadWeights"/>.
    /// </remarks>
    /// <param name="folder">A checkpoint, or a folder of checkpoints, of which the newest is used; see <see cref="CheckpointStore"/>.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <exception cref="CheckpointException">
    /// There is no checkpoint, a file is missing or damaged, or something differs that must not. The message names the file, the expected
    /// and the actual value; nothing has been loaded.
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
    /// <returns><see langword="false"/> when there is none. A damaged checkpoint is an error.</returns>
    /// <inheritdoc cref="Resume" path="/param"/>
    /// <inheritdoc cref="Resume" path="/exception"/>
    public bool TryResume(string folder, ResumeOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        return Checkpoints.Resume(folder, datasetCount: null, options ?? ResumeOptions.Default);
    }

    /// <summary>
    /// Loads weights to start a run from, in the weights that are trained and in every average. The optimizer and the step are not changed.
    /// </summary>
    /// <param name="path">
    /// A checkpoint, a folder of checkpoints, of which the newest is used, or what <see cref="SafetensorsSet.Open"/> accepts: a
    /// safetensors file, a model file, the index of several files, or a folder with one of these.
    /// </param>
    /// <param name="average">
    /// The average of a checkpoint; <see langword="null"/> for the weights that were trained. The default is the main average. Not used
    /// where the path is no checkpoint.
    /// </param>
    /// <param name="options">New names and conversions; <see langword="null"/> for the defaults.</param>
    /// <returns>The conversions that were applied.</returns>
    /// <exception cref="CheckpointException">A checkpoint is damaged. Nothing has changed.</exception>
    /// <exception cref="FileNotFoundException">There is no such file. Nothing has changed.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged, or its names, shapes or types are not those of the network. Nothing has changed.
    /// </exception>
    /// <exception cref="InvalidOperationException">The trainer has taken steps, or its averaged weights are in use.</exception>
    public WeightReport LoadWeights(string path, string? average = TrainerOptions.MainEma, WeightOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return Checkpoints.LoadWeights(path, average, options);
    }

    /// <summary>Frees the optimizer and the averaged weights. The model keeps the trained weights.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the resources of the trainer.</summary>
    /// <param name="disposing"><see langword="true"/> from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (_disposed || !disposing)
            return;
        _disposed = true;
        State.Dispose();
    }

    /// <summary>Returns what a checkpoint records in addition to the state, to compare it when the run is resumed.</summary>
    private protected virtual RunIdentity Identify() => new();

    /// <summary>Adds what the metrics and the report of a run contain about this kind of trainer: texts by name.</summary>
    internal virtual void Describe(IDictionary<string, string> texts)
    {
    }

    private protected void RequireAlive() => ObjectDisposedException.ThrowIf(_disposed, this);
}
