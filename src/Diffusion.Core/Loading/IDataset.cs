using Diffusion.Core.Models;

namespace Diffusion.Core;

/// <summary>Training data by index, in batches of any kind. Order is the trainer's.</summary>
/// <typeparam name="TBatch">A batch.</typeparam>
public interface IDataset<TBatch>
    where TBatch : IDisposable
{
    /// <summary>The number of samples.</summary>
    long Count { get; }

    /// <summary>
    /// Where <see cref="Load(ReadOnlySpan{long})"/> may be called: on any thread, but not on two at once, unless a data set says
    /// otherwise. One whose <c>Load</c> only reads what nobody changes answers <see cref="LoadThreading.Concurrent"/> and is loaded
    /// faster; one that runs a network answers <see cref="LoadThreading.Caller"/>.
    /// </summary>
    LoadThreading Threading => LoadThreading.OneAtATime;

    /// <summary>The samples of the given indices, on the CPU. The same indices give the same batch.</summary>
    /// <param name="indices">Each in 0..<see cref="Count"/>-1; duplicates are allowed.</param>
    /// <returns>A batch as long as the indices, in no dispose scope of the thread; the caller's.</returns>
    /// <exception cref="SampleException">A sample cannot be had; it names which.</exception>
    TBatch Load(ReadOnlySpan<long> indices);

    /// <summary>
    /// The samples of the given indices for one step of training. The same indices and seeds give the same batch; data sets without
    /// random augmentation do not look at the seeds, and need not implement this.
    /// </summary>
    /// <remarks>
    /// A data set made of another one passes the context on, and answers <see cref="Threading"/> as that one does; else the samples of
    /// that one are augmented alike in every epoch.
    /// </remarks>
    /// <param name="indices">Each in 0..<see cref="Count"/>-1; duplicates are allowed.</param>
    /// <param name="context">Seeds of random draws, one for each sample, and when to stop.</param>
    /// <returns>A batch as long as the indices, in no dispose scope of the thread; the caller's.</returns>
    /// <exception cref="SampleException">A sample cannot be had; it names which.</exception>
    TBatch Load(ReadOnlySpan<long> indices, LoadContext context) => Load(indices);
}

/// <summary>Training data by index: samples of one shape, with a condition or without.</summary>
public interface IDataset : IDataset<Batch>
{
    /// <summary>The shape of one sample, without the batch dimension: [C, H, W] for images.</summary>
    /// <remarks>Batches have samples [B, ...] float32, images scaled to [-1, 1].</remarks>
    IReadOnlyList<long> SampleShape { get; }

    /// <summary>
    /// The range of the values, which a trainer compares with that of the model; <see cref="DataRange.Unbounded"/> for data without one. The
    /// default, <see langword="null"/>, is unknown.
    /// </summary>
    DataRange? DataRange => null;
}

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

/// <summary>What a data set is told beside the indices when it loads a batch for a step of training.</summary>
/// <param name="seeds">One for each sample.</param>
/// <param name="cancellationToken">Cancelled when the batch is no longer wanted.</param>
public readonly ref struct LoadContext(ReadOnlySpan<ulong> seeds, CancellationToken cancellationToken = default)
{
    /// <summary>
    /// 64 bits for each sample, from which all its random draws follow. They are a function of (seed of the run, epoch, index of the
    /// sample): they differ between epochs, and do not depend on batch size, number of threads or resuming.
    /// </summary>
    public ReadOnlySpan<ulong> Seeds { get; } = seeds;

    /// <summary>Cancelled when the batch is no longer wanted; a data set that takes long should look at it.</summary>
    public CancellationToken CancellationToken { get; } = cancellationToken;
}
