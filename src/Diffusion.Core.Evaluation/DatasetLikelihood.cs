using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>Likelihoods over data sets.</summary>
public static class DatasetLikelihood
{
    /// <summary>The bits/dim of a data set.</summary>
    /// <param name="likelihood">How to tell that of a batch.</param>
    /// <param name="model">The network, such as the averaged one of a trainer; batches are moved to its device.</param>
    /// <param name="dataset">The data.</param>
    /// <param name="options">How; the defaults where null.</param>
    /// <param name="progress">Receives a report after each batch.</param>
    /// <param name="cancellationToken">Ends the evaluation between two calls of the network.</param>
    /// <returns>The mean, its standard error, and each sample.</returns>
    /// <exception cref="ArgumentException">
    /// The data set is empty, an option is out of range, or a batch does not fit the network.
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
                $"There must be at least one sample to evaluate, got {dataset.Count} of which {options.MaxSamples} are wanted.",
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

/// <summary>How a data set is evaluated.</summary>
public sealed record DatasetLikelihoodOptions
{
    /// <summary>
    /// Samples evaluated together: 64. With a network and a method that treat samples apart, it does not change the result.
    /// </summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>The first samples of the data set to evaluate; null for all.</summary>
    public long? MaxSamples { get; init; }

    /// <summary>The root of every random draw: 0. The draws of a sample depend on it and on its index.</summary>
    public long Seed { get; init; }
}

/// <summary>How far an evaluation over a data set is.</summary>
/// <param name="Samples">Samples done.</param>
/// <param name="Total">Samples in all.</param>
/// <param name="Mean">The mean bits/dim so far.</param>
/// <param name="StandardError">The standard error of that mean; NaN for one sample.</param>
public sealed record LikelihoodProgress(long Samples, long Total, double Mean, double StandardError);

/// <summary>Bits/dim over a data set.</summary>
/// <param name="Mean">The mean over the samples.</param>
/// <param name="StandardError">Of that mean, from the spread of the samples; NaN for one sample.</param>
/// <param name="PerSample">The bits/dim of each sample, in the order of the data set.</param>
public sealed record LikelihoodSummary(double Mean, double StandardError, IReadOnlyList<double> PerSample);
