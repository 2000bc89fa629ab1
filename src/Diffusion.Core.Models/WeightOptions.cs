namespace Diffusion.Core.Models;

/// <summary>How the tensors of a file become the weights of a network.</summary>
public sealed record WeightOptions
{
    /// <summary>
    /// From the name of a tensor in the file to its name in the network; null leaves the tensor out. By default names are the same.
    /// </summary>
    public Func<string, string?>? Rename { get; init; }

    /// <summary>
    /// True to convert tensors of another type to that of the network, such as bf16 weights to float32 (exact) or back (rounded);
    /// <see cref="WeightReport.Converted"/> says which. False to refuse them. True by default.
    /// </summary>
    public bool Convert { get; init; } = true;

    /// <summary>
    /// True to take weights whose shapes differ by trailing ones only, as those of a 1x1 convolution, [C, C, 1, 1], and of a linear layer,
    /// [C, C], do: they are the same numbers. False by default.
    /// </summary>
    public bool IgnoreTrailingOnes { get; init; }
}
