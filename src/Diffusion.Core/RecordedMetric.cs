namespace Diffusion.Core;

/// <summary>A number about a run, such as a validation loss.</summary>
/// <param name="Value">Its value.</param>
/// <param name="Step">The steps done when it was taken.</param>
public sealed record RecordedMetric(double Value, long Step);
