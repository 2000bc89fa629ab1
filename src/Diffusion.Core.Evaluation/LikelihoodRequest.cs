using Diffusion.Core.Models;

namespace Diffusion.Core.Evaluation;

/// <summary>What a likelihood is asked beside the samples.</summary>
public sealed record LikelihoodRequest
{
    /// <summary>The root of every random draw: 0. A sample's draws depend on it and on the index of the sample alone.</summary>
    public long Seed { get; init; }

    /// <summary>The index of the first sample of the batch: 0.</summary>
    public long FirstSample { get; init; }

    /// <summary>What the network is told, of the same batch size, or null; the caller's.</summary>
    public Condition? Condition { get; init; }

    /// <summary>Ends the evaluation between two calls of the network.</summary>
    public CancellationToken CancellationToken { get; init; }
}
