namespace Diffusion.Core.Models;

/// <summary>The sizes of a <see cref="ResidualBlock"/>.</summary>
public sealed record ResidualBlockOptions
{
    /// <summary>Channels that come in.</summary>
    public required int Inputs { get; init; }

    /// <summary>Channels that go out; where they differ, a 1x1 convolution carries the input over.</summary>
    public required int Outputs { get; init; }

    /// <summary>The width of the embedding; null, the default, for a block that is told nothing, as in autoencoders.</summary>
    public int? EmbeddingWidth { get; init; }

    /// <summary>Groups of both group norms; divides inputs and outputs.</summary>
    public required int Groups { get; init; }

    /// <summary>The epsilon of both group norms. 1e-5 by default.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>The probability of dropout before the second convolution. 0 by default.</summary>
    public double Dropout { get; init; }

    /// <summary>The nonlinearity. <see cref="Models.Activation.Silu"/> by default.</summary>
    public IActivation Activation { get; init; } = Models.Activation.Silu;

    /// <summary>
    /// True when the embedding scales and shifts the second norm (Dhariwal and Nichol 2021, "adaptive group normalisation"), false when
    /// it is added between the convolutions (Ho et al. 2020). False by default.
    /// </summary>
    public bool ScaleShift { get; init; }
}
