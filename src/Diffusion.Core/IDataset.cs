namespace Diffusion.Core;

/// <summary>Training data by index. Loading the same indices gives the same batch; order and augmentation are the trainer's.</summary>
public interface IDataset
{
    /// <summary>The number of samples.</summary>
    long Count { get; }

    /// <summary>The shape of one sample, without the batch dimension: [C, H, W] for images.</summary>
    IReadOnlyList<long> SampleShape { get; }

    /// <summary>The samples of the given indices, on the CPU.</summary>
    /// <param name="indices">Each in 0..<see cref="Count"/>-1; duplicates are allowed.</param>
    /// <returns>[B, ...] float32, images scaled to [-1, 1]; the caller's.</returns>
    Batch Load(ReadOnlySpan<long> indices);
}
