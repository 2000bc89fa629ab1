using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>Extension methods that compute the likelihood of data sets.</summary>
public static class DatasetLikelihood
{
    /// <summary>Computes the bits/dim of a data set.</summary>
    /// <param name="likelihood">The likelihood, which is called for each batch.</param>
    /// <param name="model">The model, such as that of the averaged weights of a trainer. Batches are moved to its device.</param>
    /// <param name="dataset">The data set.</param>
    /// <param name="options">The options. The default is a new <see cref="DatasetLikelihoodOptions"/>.</param>
    /// <param name="progress">Receives the progress after each batch.</param>
    /// <param name="cancellationToken">Checked before each batch and each call of the network.</param>
    /// <returns>The mean, its standard error, and the bits/dim of each sample.</returns>
    /// <exception cref="ArgumentException">
    /// There are no samples, an option is out of range, or a batch does not match the network.
    /// </exception>
    /// <exception cref="OperationCanceledException">The evaluation was cancelled.</exception>
    public static LikelihoodSummary Over(
        this ILikelihood likelihood,
        DiffusionModel model,
        IDataset dataset,
        DatasetLikelihoodOptions? options = null,
        IProgress<LikelihoodProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(likelihood);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(dataset);
        options ??= new DatasetLikelihoodOptions();
        Guard.InRange(options.BatchSize, 1, int.MaxValue);
        var total = Math.Min(dataset.Count, options.MaxSamples ?? long.MaxValue);
        if (total < 1)
            throw new ArgumentException(
                Invariant($"There must be at least one sample to evaluate, got {dataset.Count} samples (MaxSamples: ")
                + Invariant($"{options.MaxSamples})."),
                nameof(dataset));
        var bits = new List<double>();
        for (var first = 0L; first < total; first += options.BatchSize)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var indices = new long[Math.Min(options.BatchSize, total - first)];
            for (var i = 0; i < indices.Length; i++)
                indices[i] = first + i;
            bits.AddRange(OfBatch(likelihood, model, dataset, indices, options.Seed, cancellationToken));
            if (progress is not null)
                progress.Report(new LikelihoodProgress(bits.Count, total, bits.Average(), StandardError(bits)));
        }

        return new LikelihoodSummary(bits.Average(), StandardError(bits), bits);
    }

    private static double[] OfBatch(
        ILikelihood likelihood, DiffusionModel model, IDataset dataset, long[] indices, long seed, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        using var batch = dataset.Load(indices);
        var device = model.Device ?? CPU;
        using var condition = batch.Condition?.To(device);
        var request = new LikelihoodRequest
        {
            Seed = seed,
            FirstSample = indices[0],
            Condition = condition,
        };
        using var result = likelihood.BitsPerDim(model, batch.Samples.to(device), request, cancellationToken);
        Guard.Shape(result, [indices.Length]);
        return result.data<double>().ToArray();
    }

    private static double StandardError(List<double> values)
    {
        var mean = values.Average();
        return Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1.0) / values.Count);
    }
}

/// <summary>The options of an evaluation over a data set.</summary>
public sealed record DatasetLikelihoodOptions
{
    /// <summary>
    /// The number of samples in a batch. It does not change the result if the network and the likelihood process samples independently. The
    /// default is 64.
    /// </summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>
    /// The maximum number of samples to evaluate, from the start of the data set. The default is <see langword="null"/>: all samples.
    /// </summary>
    public long? MaxSamples { get; init; }

    /// <summary>
    /// The seed of all random numbers. Those of a sample depend only on the seed and the index of the sample. The default is 0.
    /// </summary>
    public long Seed { get; init; }
}

/// <summary>The progress of an evaluation over a data set.</summary>
/// <param name="Samples">The number of samples evaluated so far.</param>
/// <param name="Total">The number of samples to evaluate.</param>
/// <param name="Mean">The mean bits/dim so far.</param>
/// <param name="StandardError">The standard error of the mean; NaN for one sample.</param>
public sealed record LikelihoodProgress(long Samples, long Total, double Mean, double StandardError);

/// <summary>The bits/dim of a data set.</summary>
/// <param name="Mean">The mean over the samples.</param>
/// <param name="StandardError">The standard error of the mean; NaN for one sample.</param>
/// <param name="PerSample">The bits/dim of each sample, in the order of the data set.</param>
public sealed record LikelihoodSummary(double Mean, double StandardError, IReadOnlyList<double> PerSample)
{
    /// <summary>Returns the mean and its standard error with their unit, such as <c>2.9142 +/- 0.0031 bits/dim of 10000 samples</c>.</summary>
    public override string ToString() => Invariant($"{Mean:F4} +/- {StandardError:F4} bits/dim of {PerSample.Count} samples");
}
