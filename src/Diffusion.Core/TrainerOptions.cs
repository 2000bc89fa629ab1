using Diffusion.Core.Losses;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>How to train. The defaults train well untouched: averaged weights, a warm-up, gradients clipped at 1.</summary>
public sealed record TrainerOptions
{
    /// <summary>The step at which <see cref="Trainer.Fit"/> is done, counted from the start of the run: 100,000.</summary>
    public long Steps { get; init; } = 100_000;

    /// <summary>Samples in each step of <see cref="Trainer.Fit"/>: 128. Batches are always full; one may span two epochs.</summary>
    public int BatchSize { get; init; } = 128;

    /// <summary>Decides every random draw: 0.</summary>
    public long Seed { get; init; }

    /// <summary>Where to train, as from <see cref="DeviceName.Parse"/>; null leaves the module where it is.</summary>
    public Device? Device { get; init; }

    /// <summary>The learning rate after the warm-up: 2e-4 (Ho et al. 2020, appendix B).</summary>
    public double LearningRate { get; init; } = 2e-4;

    /// <summary>Steps over which the learning rate grows to <see cref="LearningRate"/>: 500.</summary>
    public long WarmupSteps { get; init; } = 500;

    /// <summary>A rate of another form, such as <see cref="Core.LearningRate.Cosine"/>; takes the place of the two above.</summary>
    public ILearningRateSchedule? LearningRateSchedule { get; init; }

    /// <summary>The decay of the average of the gradients: 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>The decay of the average of the squared gradients: 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the squared gradients: 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Decoupled weight decay of all parameters: 0, as in the papers, where averaging and dropout regularise.</summary>
    public double WeightDecay { get; init; }

    /// <summary>The norm to which larger gradients are scaled down, all parameters together: 1; null never clips.</summary>
    public double? ClipNorm { get; init; } = 1.0;

    /// <summary>The decay of the averaged weights: at most 0.9999, less at the start.</summary>
    public IEmaDecay Ema { get; init; } = EmaDecay.WarmUp(0.9999);

    /// <summary>
    /// Which times each batch is trained at: uniform. Trainers of denoisers look at it. A sampler that learns
    /// (<see cref="IAdaptiveTimestepSampler"/>) weighs the loss of each sample, waits for the device once a step to see it, and is part of
    /// a checkpoint; it stays the caller's to dispose.
    /// </summary>
    public ITimestepSampler Timesteps { get; init; } = new UniformTimesteps();

    /// <summary>Steps between reports: 50.</summary>
    public long LogEvery { get; init; } = 50;

    /// <summary>The folder of the run's checkpoints; null keeps none. It is made, and tried, when the trainer is made.</summary>
    public string? CheckpointFolder { get; init; }

    /// <summary>Steps between checkpoints: 1,000. There is one more at the end, and one when the run is cancelled.</summary>
    public long CheckpointEvery { get; init; } = 1_000;

    /// <summary>How many of the newest checkpoints are kept: 3.</summary>
    public int KeepCheckpoints { get; init; } = 3;

    /// <summary>Which checkpoints are kept, as from <see cref="Core.CheckpointRetention"/>; takes the place of the number above.</summary>
    public ICheckpointRetention? CheckpointRetention { get; init; }

    /// <summary>
    /// Skipped steps in a row that end <see cref="Trainer.Fit"/>, as seen at the next report: 10. A step is skipped when its loss or
    /// gradient is not finite.
    /// </summary>
    public long MaxSkippedInARow { get; init; } = 10;

    /// <summary>The learning rate in force.</summary>
    internal ILearningRateSchedule EffectiveLearningRate
        => LearningRateSchedule ?? Core.LearningRate.Constant(LearningRate, WarmupSteps);

    /// <summary>The retention in force.</summary>
    internal ICheckpointRetention EffectiveRetention => CheckpointRetention ?? Core.CheckpointRetention.Last(KeepCheckpoints);

    /// <summary>Checks everything that can be checked without a model.</summary>
    /// <exception cref="ArgumentException">A value is out of range; the message names it, what it may be and what it is.</exception>
    internal void Validate()
    {
        Guard.InRange(Steps, 1, long.MaxValue);
        Guard.InRange(BatchSize, 1, int.MaxValue);
        Guard.Positive(LearningRate);
        Guard.InRange(WarmupSteps, 0, long.MaxValue);
        Guard.InRange(Beta1, 0.0, Math.BitDecrement(1.0));
        Guard.InRange(Beta2, 0.0, Math.BitDecrement(1.0));
        Guard.Positive(Epsilon);
        Guard.InRange(WeightDecay, 0.0, double.MaxValue);
        if (ClipNorm is { } clipNorm)
            Guard.Positive(clipNorm, nameof(ClipNorm));
        ArgumentNullException.ThrowIfNull(Ema);
        ArgumentNullException.ThrowIfNull(Timesteps);
        Guard.InRange(LogEvery, 1, long.MaxValue);
        Guard.InRange(CheckpointEvery, 1, long.MaxValue);
        Guard.InRange(KeepCheckpoints, 1, int.MaxValue);
        Guard.InRange(MaxSkippedInARow, 1, long.MaxValue);
        if (CheckpointFolder is not null)
            ArgumentException.ThrowIfNullOrWhiteSpace(CheckpointFolder);
        if (Device is not null)
            DeviceName.RequireAvailable(Device, nameof(Device));
    }
}
