namespace Diffusion.Core;

/// <summary>Training data by index: samples of one shape, with a condition or without.</summary>
public interface IDataset : IDataset<Batch>
{
    /// <summary>The shape of one sample, without the batch dimension: [C, H, W] for images.</summary>
    /// <remarks>Batches have samples [B, ...] float32, images scaled to [-1, 1].</remarks>
    IReadOnlyList<long> SampleShape { get; }
}
