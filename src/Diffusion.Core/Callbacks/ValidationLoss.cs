using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The loss of a <see cref="DdpmTrainer"/> on validation data: <c>Every.Steps(1000, new ValidationLoss(data).Run)</c>. Each sample has the
/// same time and noise in every evaluation, so that the values of different steps are comparable. The training results are the same, bit
/// for bit, as without validation.
/// </summary>
/// <param name="dataset">The validation data, in the format of the training data.</param>
public sealed class ValidationLoss(IDataset dataset)
{
    private const long TimeStream = 0;
    private const long NoiseStream = 1;

    private readonly IDataset _dataset = Guard.NotNull(dataset);

    /// <summary>The name of the metric. The default is <c>validation_loss</c>.</summary>
    public string Name { get; init; } = "validation_loss";

    /// <summary>
    /// The name of the average whose weights are evaluated; <see langword="null"/> for the trained weights. The default is
    /// <see cref="TrainerOptions.MainEma"/>.
    /// </summary>
    public string? Average { get; init; } = TrainerOptions.MainEma;

    /// <summary>
    /// The number of samples to use, from the start of the data set. The default is <see langword="null"/>: all samples.
    /// </summary>
    public long? Samples { get; init; }

    /// <summary>
    /// The number of samples in a forward pass. It affects the loss only through rounding. The default is <see langword="null"/>:
    /// <see cref="TrainerOptions.MicroBatchSize"/>, or <see cref="TrainerOptions.BatchSize"/> if that is not set.
    /// </summary>
    public int? BatchSize { get; init; }

    /// <summary>The seed of the times and the noise. The default is 0.</summary>
    public long Seed { get; init; }

    /// <summary>The sampler of the times. The default is <see cref="UniformTimesteps"/>.</summary>
    public ITimestepSampler Timesteps { get; init; } = new UniformTimesteps();

    /// <summary>Computes the mean loss of the samples and logs it with <see cref="TrainingRun.LogMetric"/>.</summary>
    /// <exception cref="InvalidOperationException">The trainer is not a <see cref="DdpmTrainer"/>.</exception>
    /// <exception cref="ArgumentException">
    /// There are no samples, the run has no average of this name, or a sample does not fit the model.
    /// </exception>
    public void Run(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (run.Trainer is not DdpmTrainer trainer)
            throw new InvalidOperationException(
                $"A validation loss needs a {nameof(DdpmTrainer)}, got {run.Trainer.GetType().Name}; use {nameof(CustomMetric)}.");
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

    /// <summary>Returns the noise of one sample, which does not depend on its batch.</summary>
    private Tensor Noise(long index, long[] shape)
    {
        using var generator = SeedSequence.Generator(null, Seed, NoiseStream, index);
        return randn(shape, generator: generator);
    }
}
