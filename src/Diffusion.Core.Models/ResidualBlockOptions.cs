using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The sizes and choices of a <see cref="ResidualBlock"/>.</summary>
public sealed record ResidualBlockOptions
{
    /// <summary>The number of sizes of an image: 1, 2 or 3. 2 by default.</summary>
    public int Dimensions { get; init; } = 2;

    /// <summary>Channels that come in.</summary>
    public required int Inputs { get; init; }

    /// <summary>Channels that go out; where they differ, a convolution of one pixel carries the input over.</summary>
    public required int Outputs { get; init; }

    /// <summary>The width of the embedding; null, the default, for a block that is told nothing, as in autoencoders.</summary>
    public int? EmbeddingWidth { get; init; }

    /// <summary>Groups of the first group norm, and of the second where <see cref="OutputGroups"/> is null.</summary>
    public required int Groups { get; init; }

    /// <summary>Groups of the second group norm; <see cref="Groups"/> by default.</summary>
    public int? OutputGroups { get; init; }

    /// <summary>The epsilon of both group norms. 1e-5 by default.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>The probability of dropout before the second convolution. 0 by default.</summary>
    public double Dropout { get; init; }

    /// <summary>
    /// True when the embedding scales and shifts the second norm (Dhariwal and Nichol 2021, "adaptive group normalisation"), false when
    /// it is added between the convolutions (Ho et al. 2020). False by default.
    /// </summary>
    public bool ScaleShift { get; init; }

    /// <summary>The nonlinearity, with as many outputs as inputs. <see cref="Models.Activation.Silu"/> by default.</summary>
    public IActivation Activation { get; init; } = Models.Activation.Silu;

    /// <summary>Activate the embedding before it is projected. On by default; off where that is done once for all blocks.</summary>
    public bool ActivateEmbedding { get; init; } = true;

    /// <summary>
    /// What the sum of input and image is divided by. 1 by default; sqrt(2) keeps the variance of a sum of two (Song et al. 2021,
    /// appendix H.1).
    /// </summary>
    public double OutputScale { get; init; } = 1;

    /// <summary>True for a convolution that carries the input over even where the channels stay. Off by default.</summary>
    public bool ConvolvesShortcut { get; init; }

    /// <summary>
    /// A change of resolution before the first convolution and on the way around: from [B, C, ...] to a new tensor [B, C, ...]. Null, the
    /// default, to keep it. The context is that of the U-Net; blocks elsewhere have none, and resample as
    /// <see cref="ResidualBlock.forward(Tensor, Tensor, Func{Tensor, Tensor})"/> says.
    /// </summary>
    public Func<Tensor, UNetContext, Tensor>? Resample { get; init; }

    /// <summary>Refuses options that do not fit each other.</summary>
    /// <exception cref="ArgumentException">The first that does not.</exception>
    internal void Validate()
    {
        Guard.InRange(Dimensions, 1, 3);
        Guard.Positive(Inputs);
        Guard.Positive(Outputs);
        Guard.Positive(EmbeddingWidth ?? 1, nameof(EmbeddingWidth));
        Guard.Positive(Groups);
        Guard.Positive(OutputScale);
        var outputGroups = Guard.Positive(OutputGroups ?? Groups, nameof(OutputGroups));
        ArgumentNullException.ThrowIfNull(Activation);
        if (Activation.InputsPerOutput != 1)
            throw new ArgumentException($"{nameof(Activation)} must take one input for each output, got {Activation.InputsPerOutput}.");
        if (Inputs % Groups != 0 || Outputs % outputGroups != 0)
            throw new ArgumentException(
                $"{Groups} groups must divide the channels, got {Inputs} in and {Outputs} out"
                + (OutputGroups is null ? "." : $" in {outputGroups}."));
    }
}
