using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Measures something now and then: <c>Every.Steps(1000, new Measurement("accuracy", run => ...).Run)</c>. The network is in evaluation
/// mode meanwhile and there are no gradients; what comes after is the same, bit for bit, as without it.
/// </summary>
/// <param name="name">What is measured; the log, metrics and the choice of the best checkpoint know it by this name.</param>
/// <param name="measure">The value. Tensors that it makes and forgets are freed.</param>
public sealed class Measurement(string name, Func<TrainingRun, double> measure)
{
    /// <summary>What is measured.</summary>
    public string Name { get; } = Guard.NotNull(name);

    /// <summary>The average whose weights are in the network meanwhile; null for the weights as they are trained.</summary>
    public string? Average { get; init; } = TrainerOptions.MainAverage;

    /// <summary>Measures, and tells the run.</summary>
    /// <exception cref="ArgumentException">There is no average of that name.</exception>
    public void Run(TrainingRun run)
    {
        ArgumentNullException.ThrowIfNull(run);
        double value;
        using (run.UseWeights(Average))
        using (no_grad())
        using (NewDisposeScope())
            value = measure(run);
        run.Measure(Name, value);
    }
}
