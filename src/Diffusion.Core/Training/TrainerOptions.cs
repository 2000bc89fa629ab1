using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>How to train. The defaults train well untouched: averaged weights, a warm-up, gradients clipped at 1.</summary>
public sealed record TrainerOptions
{
    /// <summary>The name of the average of <see cref="Ema"/>.</summary>
    public const string MainEma = "ema";

    /// <summary>The step at which <see cref="Trainer{TBatch}.Fit"/> is done, counted from the start of the run: 100,000.</summary>
    public long Steps { get; init; } = 100_000;

    /// <summary>Samples in each step of <see cref="Trainer{TBatch}.Fit"/>: 128. Batches are always full; one may span two epochs.</summary>
    public int BatchSize { get; init; } = 128;

    /// <summary>Decides every random draw: 0.</summary>
    public long Seed { get; init; }

    /// <summary>Where to train, as from <see cref="DeviceName.Parse"/>; null leaves the module where it is.</summary>
    public Device? Device { get; init; }

    /// <summary>The learning rate after the warm-up: 2e-4 (Ho et al. 2020, appendix B).</summary>
    public double LearningRate { get; init; } = 2e-4;

    /// <summary>Steps over which the learning rate grows to <see cref="LearningRate"/>: 500.</summary>
    public long WarmupSteps { get; init; } = 500;

    /// <summary>A rate of another form, such as <see cref="LearningRateSchedules.Cosine"/>; takes the place of the two above.</summary>
    public LearningRateSchedule? LearningRateSchedule { get; init; }

    /// <summary>The rule by which weights move: <see cref="AdamW"/> with its defaults.</summary>
    public IOptimizer Optimizer { get; init; } = new AdamW();

    /// <summary>
    /// Parameters that are treated apart: no weight decay on norms and biases. A parameter belongs to the first group that matches it.
    /// </summary>
    public IReadOnlyList<ParameterGroup> ParameterGroups { get; init; } = ParameterGroup.NoDecayOnNormsAndBiases;

    /// <summary>What the network computes in: the type of its parameters.</summary>
    public Precision Precision { get; init; } = Precision.Full;

    /// <summary>
    /// Whether CUDA devices may round the factors of float32 matrix products and convolutions to TF32, which has 10 bits of mantissa and is
    /// several times faster. The default is <see langword="null"/>: unchanged. A setting of libtorch for the whole process, set by the
    /// trainer's constructor,
    /// stays.
    /// </summary>
    public bool? AllowTf32 { get; init; }

    /// <summary>
    /// Whether images and the weights of two-dimensional convolutions are kept in channels-last order, with the same results but for
    /// rounding: false. GPUs are faster so; <see cref="Models.ChannelsLast.IsFaster"/> measures it. On the CPU, networks choose the layout
    /// of their images themselves.
    /// </summary>
    public bool ChannelsLast { get; init; }

    /// <summary>
    /// Samples that pass through the network at once; the gradients of the parts of a batch are added up. Fewer need less memory, and
    /// results do not depend on it but by rounding, and by dropout. Null for whole batches, or, once a step has run out of memory, for the
    /// half of what did not fit: that step is taken again.
    /// </summary>
    public int? MicroBatchSize { get; init; }

    /// <summary>
    /// Bytes that the process may allocate for tensors on the CPU, weights and all: the first step finds out what a sample takes, and
    /// passes batches in parts that fit. Null for no such limit. The size that was found is part of a checkpoint, so that a resumed run
    /// adds gradients up in the same order.
    /// </summary>
    public long? MemoryLimit { get; init; }

    /// <summary>The norm to which larger gradients are scaled down, all parameters together: 1; null never clips.</summary>
    public double? MaxGradNorm { get; init; } = 1.0;

    /// <summary>The decay of the averaged weights: at most 0.9999, less at the start.</summary>
    public EmaDecay Ema { get; init; } = EmaDecay.WarmUp(0.9999);

    /// <summary>Further averages in addition to <see cref="Ema"/>, by name. The default is none.</summary>
    public IReadOnlyDictionary<string, EmaDecay> ExtraEmas { get; init; } = new SortedDictionary<string, EmaDecay>();

    /// <summary>
    /// Which times each batch is trained at: uniform. Trainers of denoisers look at it. A sampler that learns
    /// (<see cref="IAdaptiveTimestepSampler"/>) weighs the loss of each sample, waits for the device once a step to see it, and is part of
    /// a checkpoint. The caller must dispose it.
    /// </summary>
    public ITimestepSampler Timesteps { get; init; } = new UniformTimesteps();

    /// <summary>How batches are loaded ahead: on two threads, four batches deep.</summary>
    public LoaderOptions Loader { get; init; } = new();

    /// <summary>Callbacks, invoked in order. The default is none.</summary>
    public IReadOnlyList<TrainerCallback> Callbacks { get; init; } = [];

    /// <summary>Steps between reports: 50.</summary>
    public long LogEvery { get; init; } = 50;

    /// <summary>
    /// The folder of the checkpoints of the run. <see cref="Trainer{TBatch}.Fit"/> creates it if it does not exist, and claims it: while
    /// it runs, no other trainer can write to the folder. The default is <see langword="null"/>: no checkpoints.
    /// </summary>
    public string? CheckpointFolder { get; init; }

    /// <summary>
    /// Whether <see cref="Trainer{TBatch}.Fit"/> of a trainer at step 0 throws a <see cref="CheckpointException"/> if there is no checkpoint
    /// in <see cref="CheckpointFolder"/>, as for a run that is continued. The default is <see langword="false"/>: a new run starts.
    /// </summary>
    public bool RequireCheckpoint { get; init; }

    /// <summary>
    /// The classes of networks, schedules and predictions with which <see cref="DiffusionModel.Load(string, Device?, ModelFormat?)"/> will read
    /// checkpoints. The default is <see cref="ModelFormat.Default"/>.
    /// </summary>
    public ModelFormat ModelFormat { get; init; } = ModelFormat.Default;

    /// <summary>Steps between checkpoints: 1,000. There is one more at the end, and one when the run is cancelled.</summary>
    public long CheckpointEvery { get; init; } = 1_000;

    /// <summary>How many of the newest checkpoints are kept: 3.</summary>
    public int KeepCheckpoints { get; init; } = 3;

    /// <summary>Which checkpoints are kept, as from <see cref="CheckpointRetention"/>; takes the place of the number above.</summary>
    public CheckpointRetention? CheckpointRetention { get; init; }

    /// <summary>
    /// Skipped steps in a row that end <see cref="Trainer{TBatch}.Fit"/>, as seen at the next report: 10. A step is skipped when its loss
    /// or gradient is not finite.
    /// </summary>
    public long MaxSkippedInARow { get; init; } = 10;

    /// <summary>Every average by name, the main one first.</summary>
    internal IReadOnlyList<KeyValuePair<string, EmaDecay>> AllAverages
        => [new(MainEma, Ema), .. ExtraEmas.OrderBy(average => average.Key, StringComparer.Ordinal)];

    /// <summary>The learning rate in force.</summary>
    internal LearningRateSchedule EffectiveLearningRate
        => LearningRateSchedule ?? LearningRateSchedules.Constant(LearningRate, WarmupSteps);

    /// <summary>The retention in force.</summary>
    internal CheckpointRetention EffectiveRetention => CheckpointRetention ?? CheckpointRetention.Last(KeepCheckpoints);

    /// <summary>Checks everything that can be checked without a model.</summary>
    /// <exception cref="ArgumentException">A value is out of range; the message names it, what it may be and what it is.</exception>
    internal void Validate()
    {
        Guard.InRange(Steps, 1, long.MaxValue);
        Guard.InRange(BatchSize, 1, int.MaxValue);
        Guard.PositiveFactor(LearningRate);
        Guard.InRange(WarmupSteps, 0, long.MaxValue);
        ArgumentNullException.ThrowIfNull(Optimizer);
        ArgumentNullException.ThrowIfNull(ParameterGroups);
        ArgumentNullException.ThrowIfNull(Precision);
        Precision.GradScaler?.Validate();
        if (MicroBatchSize is { } size)
            Guard.InRange(size, 1, int.MaxValue, nameof(MicroBatchSize));
        if (MemoryLimit is { } limit)
            Guard.InRange(limit, 1, long.MaxValue, nameof(MemoryLimit));
        if (MaxGradNorm is { } clipNorm)
            Guard.PositiveFactor(clipNorm, nameof(MaxGradNorm));
        ArgumentNullException.ThrowIfNull(Ema);
        ArgumentNullException.ThrowIfNull(ExtraEmas);
        foreach (var (name, decay) in ExtraEmas)
        {
            ArgumentNullException.ThrowIfNull(decay, nameof(ExtraEmas));
            if (name == MainEma || name.Length == 0 || name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.')))
                throw new ArgumentException(
                    Invariant($"The name of an average must be of letters, digits, '-', '_' and '.', and not '{MainEma}', got '{name}'."),
                    nameof(ExtraEmas));
        }

        ArgumentNullException.ThrowIfNull(Timesteps);
        ArgumentNullException.ThrowIfNull(Callbacks);
        var keys = new HashSet<string>(StringComparer.Ordinal);
        if (Callbacks.OfType<IStatefulCallback>().FirstOrDefault(callback => !keys.Add(callback.Key)) is { } twice)
            throw new ArgumentException(
                Invariant($"Each callback must have a unique key in checkpoints, got '{twice.Key}' twice."), nameof(Callbacks));
        ArgumentNullException.ThrowIfNull(Loader);
        Loader.Validate();
        Guard.InRange(LogEvery, 1, long.MaxValue);
        Guard.InRange(CheckpointEvery, 1, long.MaxValue);
        Guard.InRange(KeepCheckpoints, 1, int.MaxValue);
        Guard.InRange(MaxSkippedInARow, 1, long.MaxValue);
        if (CheckpointFolder is not null)
            ArgumentException.ThrowIfNullOrWhiteSpace(CheckpointFolder);
        if (RequireCheckpoint && CheckpointFolder is null)
            throw new ArgumentException(
                $"{nameof(RequireCheckpoint)} needs a {nameof(CheckpointFolder)}, got none.", nameof(RequireCheckpoint));
        if (Device is not null)
            DeviceName.RequireAvailable(Device, nameof(Device));
    }
}
