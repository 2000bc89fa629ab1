using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>The networks and trainers that benchmarks/python/against.py has too.</summary>
internal static class Networks
{
    /// <summary>A batch of images.</summary>
    public static readonly long[] Images = [16, 3, 32, 32];

    /// <summary>A batch of points.</summary>
    public static readonly long[] Points = [128, 2];

    /// <summary>Channels of a head of the U-Net's attention.</summary>
    public const int HeadWidth = 8;

    /// <summary>6,472,195 parameters; attention at 16x16 and in the middle, in heads of 8 channels.</summary>
    public static UNet UNet() => new(new UNetOptions
    {
        Width = 64,
        Multipliers = [1, 2, 2],
        LayersPerBlock = 2,
        AttentionResolutions = [16],
        HeadWidth = HeadWidth,
        GroupNormGroups = 32,
        ZeroOutput = false,
    });

    /// <summary>105,218 parameters.</summary>
    public static MlpDenoiser Mlp() => new(new MlpDenoiserOptions { Width = 96 });

    /// <summary>AdamW without decay, gradients clipped to 1, weights averaged.</summary>
    public static DdpmTrainer Trainer(ITrainableDenoiser model, Device device, IDiffusionLoss? loss = null)
        => new(model, DiscreteSchedule.Linear(), loss ?? new SimpleLoss(), new TrainerOptions
        {
            Device = device,
            LearningRate = 1e-4,
            WarmupSteps = 0,
            Ema = EmaDecay.Constant(0.999),
        });
}
