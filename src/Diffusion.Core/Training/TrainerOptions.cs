using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The options of a trainer. By default, weights are averaged, the learning rate has a warm-up, and gradients are clipped at a norm of
/// 1.
/// </summary>
public sealed record TrainerOptions
{
    /// <summary>The name of the average that <see cref="Ema"/> defines.</summary>
    public const string MainEma = "ema";

    /// <summary>
    /// The number of steps after which <see cref="Trainer{TBatch}.Fit"/> ends, counted from the start of the run. The default is
    /// 100,000.
    /// </summary>
    public long Steps { get; init; } = 100_000;

    /// <summary>
    /// The number of samples in each step of <see cref="Trainer{TBatch}.Fit"/>. The default is 128. Batches are always full; a batch
    /// may contain samples of more than one epoch.
    /// </summary>
    public int BatchSize { get; init; } = 128;

    /// <summary>The seed of all random draws. The default is 0.</summary>
    public long Seed { get; init; }

    /// <summary>
    /// The device on which to train, for example from <see cref="DeviceName.Parse"/>. The default is <see langword="null"/>: the
    /// module remains on its device.
    /// </summary>
    public Device? Device { get; init; }

    /// <summary>The learning rate after the warm-up. The default is 2e-4 (Ho et al. 2020, appendix B).</summary>
    public double LearningRate { get; init; } = 2e-4;

    /// <summary>
    /// The number of steps over which the learning rate increases linearly to <see cref="LearningRate"/>. The default is 500.
    /// </summary>
    public long WarmupSteps { get; init; } = 500;

    /// <summary>
    /// A learning rate schedule, such as <see cref="LearningRateSchedules.Cosine"/>, that replaces <see cref="LearningRate"/> and
    /// <see cref="WarmupSteps"/>. The default is <see langword="null"/>: none.
    /// </summary>
    public LearningRateSchedule? LearningRateSchedule { get; init; }

    /// <summary>The optimizer. The default is <see cref="AdamW"/> with its default settings.</summary>
    public IOptimizer Optimizer { get; init; } = new AdamW();

    /// <summary>
    /// Groups of parameters with separate optimizer settings. A parameter belongs to the first group that matches it. The default is
    /// <see cref="ParameterGroup.NoDecayOnNormsAndBiases"/>.
    /// </summary>
    public IReadOnlyList<ParameterGroup> ParameterGroups { get; init; } = ParameterGroup.NoDecayOnNormsAndBiases;

    /// <summary>
    /// The precision in which the network computes. The default is <see cref="Precision.Full"/>: the type of its parameters.
    /// </summary>
    public Precision Precision { get; init; } = Precision.Full;

    /// <summary>
    /// Whether CUDA devices may round the operands of float32 matrix products and convolutions to TF32, which has 10 bits of mantissa
    /// and is several times faster. The default is <see langword="null"/>: the setting of libtorch is not changed. The constructor of
    /// the trainer changes the setting for the whole process, and it is not restored when the trainer is disposed.
    /// </summary>
    public bool? AllowTf32 { get; init; }

    /// <summary>
    /// Whether images and the weights of two-dimensional convolutions are stored in channels-last order. The results differ only by
    /// rounding. The default is <see langword="false"/>. GPUs are usually faster with this order;
    /// <see cref="Models.ChannelsLast.IsFaster"/> measures it. On the CPU, networks choose the order of their images themselves.
    /// </summary>
    public bool ChannelsLast { get; init; }

    /// <summary>
    /// The maximum number of samples in a forward pass. The gradients of the parts of a batch are accumulated. A smaller number
    /// requires less memory; the results differ only by rounding and by the random numbers of dropout. The default is
    /// <see langword="null"/>: the trainer processes whole batches, or parts that fit <see cref="MemoryLimit"/>; if a step runs out of
    /// memory, it halves the number of samples and repeats the step.
    /// </summary>
    public int? MicroBatchSize { get; init; }

    /// <summary>
    /// The maximum number of bytes that the process may allocate for tensors on the CPU, including the weights. The first step
    /// measures the memory of a sample, and batches are processed in parts that fit. The size of the parts is stored in checkpoints,
    /// so that a resumed run accumulates gradients in the same order. The limit is ignored if <see cref="MicroBatchSize"/> is set. The
    /// default is <see langword="null"/>: no limit.
    /// </summary>
    public long? MemoryLimit { get; init; }

    /// <summary>
    /// The maximum norm of the gradients of all parameters together. Larger gradients are scaled down to it. The default is 1;
    /// <see langword="null"/> disables clipping.
    /// </summary>
    public double? MaxGradNorm { get; init; } = 1.0;

    /// <summary>
    /// The decay of the averaged weights. The default is <see cref="EmaDecay.WarmUp"/>: at most 0.9999, and less at the start.
    /// </summary>
    public EmaDecay Ema { get; init; } = EmaDecay.WarmUp(0.9999);

    /// <summary>Further averages in addition to <see cref="Ema"/>, by name. The default is none.</summary>
    public IReadOnlyDictionary<string, EmaDecay> ExtraEmas { get; init; } = new SortedDictionary<string, EmaDecay>();

    /// <summary>
    /// The sampler of the times of each batch. The default is <see cref="UniformTimesteps"/>. Only trainers of denoisers use it. With
    /// an <see cref="IAdaptiveTimestepSampler"/>, the trainer weights the loss of each sample, waits for the device once per step to
    /// read the losses, and stores the state of the sampler in checkpoints. The caller must dispose such a sampler.
    /// </summary>
    public ITimestepSampler Timesteps { get; init; } = new UniformTimesteps();

    /// <summary>The options of the batch loader. By default, two threads load up to four batches ahead.</summary>
    public LoaderOptions Loader { get; init; } = new();

    /// <summary>The callbacks, which are invoked in order. The default is none.</summary>
    public IReadOnlyList<TrainerCallback> Callbacks { get; init; } = [];

    /// <summary>The number of steps between reports. The default is 50.</summary>
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

    /// <summary>
    /// The number of steps between checkpoints. The default is 1,000. A checkpoint is also saved at the end and when the run is
    /// cancelled.
    /// </summary>
    public long CheckpointEvery { get; init; } = 1_000;

    /// <summary>The number of the newest checkpoints to keep. The default is 3.</summary>
    public int KeepCheckpoints { get; init; } = 3;

    /// <summary>
    /// The rule that determines which checkpoints are kept. It replaces <see cref="KeepCheckpoints"/>. The default is
    /// <see langword="null"/>: none.
    /// </summary>
    public CheckpointRetention? CheckpointRetention { get; init; }

    /// <summary>
    /// The number of consecutive skipped steps that ends <see cref="Trainer{TBatch}.Fit"/> with a <see cref="DivergedException"/> at
    /// the next report. The default is 10. A step is skipped if its loss or gradient is not finite.
    /// </summary>
    public long MaxSkippedInARow { get; init; } = 10;

    /// <summary>All averages by name, the main one first.</summary>
    internal IReadOnlyList<KeyValuePair<string, EmaDecay>> AllAverages
        => [new(MainEma, Ema), .. ExtraEmas.OrderBy(average => average.Key, StringComparer.Ordinal)];

    /// <summary>The learning rate schedule of the run.</summary>
    internal LearningRateSchedule EffectiveLearningRate
        => LearningRateSchedule ?? LearningRateSchedules.Constant(LearningRate, WarmupSteps);

    /// <summary>The checkpoint retention of the run.</summary>
    internal CheckpointRetention EffectiveRetention => CheckpointRetention ?? CheckpointRetention.Last(KeepCheckpoints);

    /// <summary>Checks all options that can be checked without a model.</summary>
    /// <exception cref="ArgumentException">
    /// A value is out of range. The message names the option, the valid values and the given value.
    /// </exception>
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
