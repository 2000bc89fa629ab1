using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The loss of a <see cref="DdpmTrainer"/> over data that it is not trained on:
/// <c>Every.Steps(1000, new ValidationLoss(data).Run)</c>. Each sample has the same time and noise at every step, so that values compare.
/// The run goes on, bit for bit, as it does without it.
/// </summary>
/// <param name="dataset">Samples of the kind that is trained on.</param>
public sealed class ValidationLoss(IDataset dataset)
{
    private const long TimeStream = 0;
    private const long NoiseStream = 1;

    private readonly IDataset _dataset = Guard.NotNull(dataset);

    /// <summary>The name of the metric. The default is <c>validation_loss</c>.</summary>
    public string Name { get; init; } = "validation_loss";

    /// <summary>The average whose weights are measured; null for the weights as they are trained.</summary>
    public string? Average { get; init; } = TrainerOptions.MainEma;

    /// <summary>How many samples are used, the first of the data set: all where null.</summary>
    public long? Samples { get; init; }

    /// <summary>
    /// Samples that pass through the network at once: those of a training step where null. The value does not depend on it but by
    /// rounding.
    /// </summary>
    public int? BatchSize { get; init; }

    /// <summary>Decides times and noise: 0.</summary>
    public long Seed { get; init; }

    /// <summary>At which times: uniform.</summary>
    public ITimestepSampler Timesteps { get; init; } = new UniformTimesteps();

    /// <summary>Computes the mean over the samples, and tells the run.</summary>
    /// <exception cref="InvalidOperationException">The trainer is of another kind.</exception>
    /// <exception cref="ArgumentException">There is no sample, no such average, or a sample does not fit the model.</exception>
    public void Run(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (run.Trainer is not DdpmTrainer trainer)
            throw new InvalidOperationException(
                $"A validation loss is that of a {nameof(DdpmTrainer)}, got {run.Trainer.GetType().Name}; use {nameof(CustomMetric)}.");
        var count = Guard.InRange(Math.Min(Samples ?? long.MaxValue, _dataset.Count), 1, int.MaxValue, nameof(Samples));
        var batchSize = Guard.InRange(BatchSize ?? run.Options.MicroBatchSize ?? run.Options.BatchSize, 1, int.MaxValue, nameof(BatchSize));
        double value;
        using (run.UseWeights(Average))
        using (no_grad())
        using (NewDisposeScope())
        {
            using var generator = SeedSequence.Generator(null, Seed, TimeStream);
            var times = Timesteps.Sample(trainer.Model.Schedule, count, generator);
            var sum = zeros([], dtype: ScalarType.Float64, device: trainer.Device);
            for (var first = 0L; first < count; first += batchSize)
                Add(sum, trainer, times, first, Math.Min(batchSize, count - first));
            value = sum.item<double>() / count;
        }

        run.LogMetric(Name, value);
    }

    private void Add(Tensor sum, DdpmTrainer trainer, Tensor times, long first, long count)
    {
        using var scope = NewDisposeScope();
        var indices = new long[count];
        for (var i = 0; i < count; i++)
            indices[i] = first + i;
        using var loaded = _dataset.Load(indices);
        using var batch = loaded.To(trainer.Device, trainer.State.Parameters.Dtype);
        var t = times.narrow(0, first, count);
        var noise = stack(indices.Select(index => Noise(index, batch.Samples.shape[1..]))).to(trainer.State.Parameters.Dtype, trainer.Device);
        using var terms = trainer.LossAt(batch, t, t.to(trainer.Device), noise);
        sum.Add_(terms.Loss.to(ScalarType.Float64).sum());
    }

    /// <summary>The noise of one sample, independent of its batch.</summary>
    private Tensor Noise(long index, long[] shape)
    {
        using var generator = SeedSequence.Generator(null, Seed, NoiseStream, index);
        return randn(shape, generator: generator);
    }
}
