using Diffusion.Core.Losses;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Tests.Support;

/// <summary>Trainers of tiny networks.</summary>
internal static class Runs
{
    public static DiscreteSchedule Schedule { get; } = DiscreteSchedule.Linear();

    public static TrainerOptions Options { get; } = new()
    {
        Steps = 20,
        BatchSize = 8,
        Seed = 5,
        LearningRate = 1e-2,
        WarmupSteps = 5,
        Optimizer = new AdamW { WeightDecay = 0.01 },
        LogEvery = 5,
        // Tests look at what was loaded: nothing is loaded ahead of its step.
        Loader = new LoaderOptions { Workers = 0 },
        CheckpointEvery = 10,
    };

    /// <summary>Points have no range of their own: clips the predicted x_0 to that of images.</summary>
    public static SamplerOptions Clipped { get; } = new() { Threshold = Thresholding.Static(1.0) };

    public static DdpmTrainer Trainer(
        TinyDenoiser model, TrainerOptions? options = null, IDiffusionLoss? loss = null, ILogger? logger = null)
        => new(model, Schedule, loss ?? new SimpleLoss(), options ?? Options, logger);

    /// <summary>Fit, until the test is cancelled.</summary>
    public static void Run(this Trainer<Batch> trainer, IDataset dataset, IProgress<TrainingProgress>? progress = null)
        => trainer.Fit(dataset, progress, TestContext.Current.CancellationToken);

    public static Batch Batch(params long[] indices) => new Points(100).Load(indices);

    /// <summary>A checkpoint of a whole run.</summary>
    public static void SaveAfterRun(string folder, long seed = 5)
    {
        using var model = new TinyDenoiser();
        using var trainer = Trainer(model, Options with { Seed = seed });
        trainer.Run(new Points(50));
        trainer.Save(folder);
    }
}
