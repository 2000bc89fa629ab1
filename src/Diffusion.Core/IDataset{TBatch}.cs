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
