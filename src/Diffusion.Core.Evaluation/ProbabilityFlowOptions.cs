using Diffusion.Core.Samplers;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation;

/// <summary>How the probability flow is followed. The defaults are those of Song et al. 2021.</summary>
public sealed record ProbabilityFlowOptions
{
    /// <summary>
    /// What the network predicts, and whether it has variance channels. Nothing is thresholded unless it says so: eps, one set of channels
    /// and no threshold by default.
    /// </summary>
    public SamplerOptions Network { get; init; } = new() { Threshold = null };

    /// <summary>The method: Dormand and Prince's with tolerances of 1e-5.</summary>
    public IOdeSolver Solver { get; init; } = new DormandPrince();

    /// <summary>How the divergence is taken: one vector of signs.</summary>
    public ITraceEstimator Trace { get; init; } = TraceEstimator.Rademacher();

    /// <summary>Where the flow starts; null for the least noise of the schedule, which must then be more than none.</summary>
    public double? MinTime { get; init; }

    /// <summary>Where the flow ends; null for the most noise of the schedule, which must then leave some signal.</summary>
    public double? MaxTime { get; init; }

    /// <summary>
    /// log p(x_T) in nats, from [B, ...] float64 to [B]; null for N(0, (alpha^2 + sigma^2) I) at <see cref="MaxTime"/>, what noisy data of
    /// unit variance is like: N(0, I) where the process preserves variance.
    /// </summary>
    public Func<Tensor, Tensor>? LogPrior { get; init; }
}
