using Diffusion.Core.Losses;
using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.AgainstPython;

/// <summary>Creates the same networks and trainers as benchmarks/python/against.py.</summary>
internal static class Networks
{
    /// <summary>The shape of a batch of images.</summary>
    public static readonly long[] Images = [16, 3, 32, 32];

    /// <summary>The shape of a batch of points.</summary>
    public static readonly long[] Points = [128, 2];

    /// <summary>The number of channels of an attention head in the U-Net.</summary>
    public const int HeadWidth = 8;

    /// <summary>
    /// Creates a U-Net with 6,472,195 parameters, and attention with heads of 8 channels at 16x16 and in the middle block.
    /// </summary>
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

    /// <summary>Creates an MLP with 105,218 parameters.</summary>
    public static MlpDenoiser Mlp() => new(new MlpDenoiserOptions { Width = 96 });

    /// <summary>Creates a trainer with AdamW without weight decay, gradients clipped to a norm of 1, and averaged weights.</summary>
    public static DdpmTrainer Trainer(ITrainableDenoiser model, Device device, IDiffusionLoss? loss = null)
        => new(model, DiscreteSchedule.Linear(), loss ?? new SimpleLoss(), new TrainerOptions
        {
            Device = device,
            LearningRate = 1e-4,
            WarmupSteps = 0,
            Ema = EmaDecay.Constant(0.999),
        });
}
