namespace Diffusion.Core;

/// <summary>
/// Data that is written where the caller says, so that the memory of batches is used again and again. Implement it instead of
/// <see cref="IDataset"/> alone where samples are numbers with at most a label: <c>Load</c> then follows from <see cref="Fill"/>.
/// </summary>
public interface IBufferedDataset : IDataset
{
    /// <summary>Whether each sample has a class label, which becomes <see cref="Models.Condition.Labels"/>.</summary>
    bool HasLabels { get; }

    /// <summary>Writes the samples of the given indices; what it writes equals what <c>Load</c> gives.</summary>
    /// <param name="indices">Each in 0..Count-1; duplicates are allowed.</param>
    /// <param name="context">Seeds of random draws, one for each sample, or none; and when to stop.</param>
    /// <param name="samples">[B * size of a sample], sample after sample; holds anything before, and must be written whole.</param>
    /// <param name="labels">[B] where <see cref="HasLabels"/>, and then written whole; else empty.</param>
    /// <exception cref="SampleException">A sample cannot be had; it names which.</exception>
    void Fill(ReadOnlySpan<long> indices, LoadContext context, Span<float> samples, Span<long> labels);

    /// <inheritdoc/>
    Batch IDataset<Batch>.Load(ReadOnlySpan<long> indices) => Load(indices, default);

    /// <inheritdoc/>
    Batch IDataset<Batch>.Load(ReadOnlySpan<long> indices, LoadContext context)
    {
        var buffer = new HostBuffer(this, indices.Length);
        try
        {
            buffer.Fill(this, indices, context);
            return buffer.ToBatch();
        }
        catch
        {
            buffer.Dispose();
            throw;
        }
    }
}
