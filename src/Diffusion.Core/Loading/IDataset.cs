using Diffusion.Core.Models;

namespace Diffusion.Core;

/// <summary>Training data that is accessed by index, in batches of any type. The trainer determines the order.</summary>
/// <typeparam name="TBatch">The type of a batch.</typeparam>
public interface IDataset<TBatch>
    where TBatch : IDisposable
{
    /// <summary>The number of samples.</summary>
    long Count { get; }

    /// <summary>
    /// The threads on which <see cref="Load(ReadOnlySpan{long})"/> may be called. The default is
    /// <see cref="LoadThreading.OneAtATime"/>. A data set whose <c>Load</c> reads only immutable data should return
    /// <see cref="LoadThreading.Concurrent"/>, which is faster. A data set that runs a network should return
    /// <see cref="LoadThreading.Caller"/>.
    /// </summary>
    LoadThreading Threading => LoadThreading.OneAtATime;

    /// <summary>Loads the samples of the given indices to the CPU. The same indices always return the same batch.</summary>
    /// <param name="indices">The indices, each in 0..<see cref="Count"/>-1. Duplicates are allowed.</param>
    /// <returns>
    /// A batch with one sample for each index, outside the dispose scopes of the thread. The caller must dispose it.
    /// </returns>
    /// <exception cref="SampleException">A sample cannot be loaded. The exception contains its index.</exception>
    TBatch Load(ReadOnlySpan<long> indices);

    /// <summary>
    /// Loads the samples of the given indices for one training step. The same indices and seeds always return the same batch. Data
    /// sets without random augmentation do not use the seeds, and need not implement this method.
    /// </summary>
    /// <remarks>
    /// A data set that wraps another one must pass the context to it and return its <see cref="Threading"/>; otherwise the samples of the
    /// wrapped data set are augmented identically in every epoch.
    /// </remarks>
    /// <param name="indices">The indices, each in 0..<see cref="Count"/>-1. Duplicates are allowed.</param>
    /// <param name="context">The seeds of random draws, one for each sample, and a cancellation token.</param>
    /// <returns>
    /// A batch with one sample for each index, outside the dispose scopes of the thread. The caller must dispose it.
    /// </returns>
    /// <exception cref="SampleException">A sample cannot be loaded. The exception contains its index.</exception>
    TBatch Load(ReadOnlySpan<long> indices, LoadContext context) => Load(indices);
}

/// <summary>Training data that is accessed by index: samples of one shape, with or without a condition.</summary>
public interface IDataset : IDataset<Batch>
{
    /// <summary>The shape of one sample, without the batch dimension: [C, H, W] for images.</summary>
    /// <remarks>Batches have samples [B, ...] float32. Images are scaled to [-1, 1].</remarks>
    IReadOnlyList<long> SampleShape { get; }

    /// <summary>
    /// The range of the values, which a trainer compares with that of the model; <see cref="DataRange.Unbounded"/> for data without a
    /// range. The default is <see langword="null"/>: the range is unknown.
    /// </summary>
    DataRange? DataRange => null;
}

/// <summary>
/// A data set that writes samples to a given buffer, so that the memory of batches is reused. Implement it instead of
/// <see cref="IDataset"/> if samples consist of numbers and at most one label: <c>Load</c> is then implemented with
/// <see cref="Fill"/>.
/// </summary>
public interface IBufferedDataset : IDataset
{
    /// <summary>Whether each sample has a class label, which becomes <see cref="Models.Condition.Labels"/>.</summary>
    bool HasLabels { get; }

    /// <summary>Writes the samples of the given indices. The values equal those that <c>Load</c> returns.</summary>
    /// <param name="indices">The indices, each in 0..Count-1. Duplicates are allowed.</param>
    /// <param name="context">The seeds of random draws, one for each sample or none, and a cancellation token.</param>
    /// <param name="samples">
    /// [B * size of a sample] receives the samples, one after another. Its initial content is undefined, so all of it must be written.
    /// </param>
    /// <param name="labels">
    /// [B] receives the labels if <see cref="HasLabels"/> is <see langword="true"/>, and all of it must be written; otherwise empty.
    /// </param>
    /// <exception cref="SampleException">A sample cannot be loaded. The exception contains its index.</exception>
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

/// <summary>The input of a data set, in addition to the indices, when it loads a batch for a training step.</summary>
/// <param name="seeds">The seeds of random draws, one for each sample.</param>
/// <param name="cancellationToken">Cancelled when the batch is no longer needed.</param>
public readonly ref struct LoadContext(ReadOnlySpan<ulong> seeds, CancellationToken cancellationToken = default)
{
    /// <summary>
    /// A 64-bit seed for each sample, which determines all its random draws. It is a function of (seed of the run, epoch, index of the
    /// sample): it differs between epochs, and does not depend on the batch size, the number of threads or resuming.
    /// </summary>
    public ReadOnlySpan<ulong> Seeds { get; } = seeds;

    /// <summary>Cancelled when the batch is no longer needed. Data sets whose samples take long to load should check it.</summary>
    public CancellationToken CancellationToken { get; } = cancellationToken;
}
