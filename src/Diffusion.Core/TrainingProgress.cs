namespace Diffusion.Core;

/// <summary>Where a training run is.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="TotalSteps">Steps to do.</param>
/// <param name="Epoch">How often the data was seen: 2.5 is halfway through the third time.</param>
/// <param name="Loss">The mean loss of the steps since the last report that were not skipped; NaN when all were.</param>
/// <param name="LearningRate">The rate of the last step.</param>
/// <param name="GradientNorm">The norm of all gradients of the last step, before clipping.</param>
/// <param name="SamplesPerSecond">Since the last report.</param>
/// <param name="SkippedSteps">Steps of the whole run that left no trace because their loss or gradient was not finite.</param>
public sealed record TrainingProgress(
    long Step,
    long TotalSteps,
    double Epoch,
    double Loss,
    double LearningRate,
    double GradientNorm,
    double SamplesPerSecond,
    long SkippedSteps)
{
    /// <summary>
    /// Means, over the steps since the last report that were not skipped, of what the loss reports besides, by name: its terms, and the
    /// loss by quarters of time, of which <c>loss_q0</c> is the one of least noise. NaN for what had no value.
    /// </summary>
    public IReadOnlyDictionary<string, double> Metrics { get; init; } = new SortedDictionary<string, double>();
}
