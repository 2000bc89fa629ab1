namespace Diffusion.Core.Evaluation;

/// <summary>How far an evaluation over a data set is.</summary>
/// <param name="Samples">Samples done.</param>
/// <param name="Total">Samples in all.</param>
/// <param name="Mean">The mean bits/dim so far.</param>
/// <param name="StandardError">The standard error of that mean; NaN for one sample.</param>
public sealed record LikelihoodProgress(long Samples, long Total, double Mean, double StandardError);
