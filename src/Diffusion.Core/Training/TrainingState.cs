using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// The state of a training run: step, weights, optimizer, averages, metrics, and the size of micro-batches. A checkpoint contains all
/// of it.
/// </summary>
internal sealed class TrainingState : IDisposable
{
    private bool _isTorn;

    /// <summary>Initializes the state at step 0. The parameters of the module become views of one buffer.</summary>
    public TrainingState(nn.Module module, Func<IDisposable?>? beginInference, TrainerOptions options)
    {
        (Module, Options, MicroBatchSize) = (module, options, options.MicroBatchSize);
        if (options.Device is not null)
            module.to(options.Device);
        var parameters = new FlatParameters(module, options.ParameterGroups, options.Precision, options.ChannelsLast);
        try
        {
            OptimizerStep = new OptimizerStep(parameters, options);
        }
        catch
        {
            parameters.Dispose();
            throw;
        }

        Averages = new AveragedWeights(module, OptimizerStep, beginInference ?? (() => null));
    }

    public nn.Module Module { get; }

    public TrainerOptions Options { get; }

    public OptimizerStep OptimizerStep { get; }

    public AveragedWeights Averages { get; }

    public FlatParameters Parameters => OptimizerStep.Parameters;

    /// <summary>The number of completed steps, including skipped ones.</summary>
    public long Step { get; set; }

    /// <summary>The number of samples of the data set; <see langword="null"/> before the first call of <c>Fit</c>.</summary>
    public long? DatasetCount { get; set; }

    /// <summary>The description of the data set; empty before the first call of <c>Fit</c>.</summary>
    public string Dataset { get; set; } = "";

    /// <summary>The number of samples in a forward pass; <see langword="null"/> for whole batches.</summary>
    public int? MicroBatchSize { get; set; }

    /// <summary>The newest value of each metric.</summary>
    public SortedDictionary<string, RecordedMetric> Metrics { get; } = new(StringComparer.Ordinal);

    /// <summary>The number of passes over the data; 0 without a data set.</summary>
    public double Epoch => DatasetCount is { } count ? (double)Step * Options.BatchSize / count : 0.0;

    /// <summary>
    /// Whether all weights belong to the same step. If a step fails while it changes them, they do not, until a checkpoint is loaded.
    /// </summary>
    public bool IsWhole => !_isTorn;

    /// <summary>Returns the state dict of the module with the trained weights, or with an average.</summary>
    public Dictionary<string, Tensor> Weights(Tensor values) => TrainerTensors.Weights(Module, Parameters, values);

    /// <summary>Records whether a step that failed had begun to change the weights.</summary>
    public void NoteFailure() => _isTorn |= OptimizerStep.Updating;

    /// <summary>Records that all weights were replaced.</summary>
    public void NoteLoaded() => _isTorn = false;

    /// <summary>Throws an exception if the weights do not belong to the same step.</summary>
    /// <param name="purpose">The purpose, for the message, such as "save".</param>
    /// <exception cref="InvalidOperationException">A step failed while it changed the weights.</exception>
    public void RequireWhole(string purpose)
    {
        if (_isTorn)
            throw new InvalidOperationException(
                Invariant($"The trainer cannot {purpose}: a step failed while it changed the weights. Resume from a checkpoint."));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Averages.Dispose();
        OptimizerStep.Dispose();
    }
}
