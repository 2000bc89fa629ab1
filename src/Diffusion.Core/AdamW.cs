namespace Diffusion.Core;

/// <summary>Adam with decoupled weight decay.</summary>
/// <remarks>
/// Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2, with the learning rate as the schedule
/// multiplier of both terms, as is usual.
/// </remarks>
public sealed record AdamW : AdamOptimizer
{
    private protected override bool IsDecoupled => true;
}
