namespace Diffusion.Core.Evaluation;

/// <summary>Bits/dim over a data set.</summary>
/// <param name="Mean">The mean over the samples.</param>
/// <param name="StandardError">Of that mean, from the spread of the samples; NaN for one sample.</param>
/// <param name="PerSample">The bits/dim of each sample, in the order of the data set.</param>
public sealed record LikelihoodSummary(double Mean, double StandardError, IReadOnlyList<double> PerSample);
