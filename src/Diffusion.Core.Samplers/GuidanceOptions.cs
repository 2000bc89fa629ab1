namespace Diffusion.Core.Samplers;

/// <summary>
/// Refinements of guidance, all of the prediction alone: what a network says about the variance is not touched. The defaults are plain
/// guidance, at all times.
/// </summary>
public sealed record GuidanceOptions
{
    /// <summary>
    /// How far the guided answer is given back the standard deviation of the strong one, per sample, 0 to 1; 0.7 is usual. Keeps large
    /// scales from overexposing.
    /// </summary>
    /// <remarks>Source: Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4.</remarks>
    public double Rescale { get; init; }

    /// <summary>The least time with guidance; below it the strong answer stands alone. In the times that the network is told.</summary>
    /// <remarks>Source: Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval".</remarks>
    public double MinTime { get; init; } = double.NegativeInfinity;

    /// <summary>The greatest time with guidance; above it the strong answer stands alone.</summary>
    /// <inheritdoc cref="MinTime" path="/remarks"/>
    public double MaxTime { get; init; } = double.PositiveInfinity;

    /// <summary>
    /// True to scale the weak answer, per sample, to where it is nearest to the strong one before the two are compared.
    /// </summary>
    /// <remarks>Source: Fan et al. 2025, "CFG-Zero*: Improved Classifier-Free Guidance for Flow Matching Models", eq. 9.</remarks>
    public bool ZeroStar { get; init; }

    /// <summary>
    /// Above this time the answer is zero: the "zero-init" of CFG-Zero*, for networks that predict a flow velocity. Never unless said
    /// otherwise.
    /// </summary>
    /// <remarks>Source: Fan et al. 2025, "CFG-Zero*", section 4.2.</remarks>
    public double ZeroAbove { get; init; } = double.PositiveInfinity;
}
