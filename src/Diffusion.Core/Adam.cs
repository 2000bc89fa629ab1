namespace Diffusion.Core;

/// <summary>Steps along a running average of the gradients, each element divided by the root of that of its square.</summary>
/// <remarks>
/// Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1. Its weight decay is the weight of half the squared
/// norm of the weights in the loss, as in PyTorch's <c>Adam</c>; <see cref="AdamW"/> keeps it apart, which is the better choice.
/// </remarks>
public sealed record Adam : AdamOptimizer
{
    private protected override bool IsDecoupled => false;
}
