namespace Diffusion.Core;

/// <summary>
/// The words that tell the random draws of a training run apart; with the seed, the step and the rank they are all its state.
/// </summary>
internal static class RandomStream
{
    /// <summary>The order of the data: (seed, epoch).</summary>
    public const long Order = 1;

    /// <summary>The times of a batch: (seed, step, rank).</summary>
    public const long Timesteps = 2;

    /// <summary>The noise of a batch: (seed, step, rank).</summary>
    public const long Noise = 3;

    /// <summary>What the network draws in training, as for dropout: (seed, step, rank).</summary>
    public const long Network = 4;

    /// <summary>The augmentation of a sample: (seed, epoch, index of the sample).</summary>
    public const long Augmentation = 5;
}
