namespace Diffusion.Core;

/// <summary>
/// Adam's step with second moments kept as one number for each row and each column of a matrix: almost no memory. Its steps are of about
/// the size of the learning rate at most.
/// </summary>
/// <remarks>
/// <para>Source: Shazeer and Stern 2018, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", algorithms 4 and 5. Parameters of
/// fewer than two dimensions keep a whole second moment; the kernels of convolutions, of which the paper does not tell, are matrices
/// [out, in * height * width].</para>
/// <para>The paper's rate falls as <c>min(1e-2, 1 / sqrt(step))</c>: that is for <see cref="TrainerOptions.LearningRateSchedule"/> to say.
/// Parameter by parameter, a step takes longer than with the other optimizers.</para>
/// </remarks>
public sealed record Adafactor : IOptimizer
{
    /// <inheritdoc/>
    public string Name => nameof(Adafactor);

    /// <summary>The c of the decay <c>1 - step^-c</c> of the second moments: 0.8.</summary>
    public double DecayPower { get; init; } = 0.8;

    /// <summary>The decay of the average of the steps: 0, which keeps none, and no memory for it.</summary>
    public double Beta1 { get; init; }

    /// <summary>The root mean square to which the larger steps of a parameter are scaled down, before the learning rate: 1.</summary>
    public double ClipThreshold { get; init; } = 1.0;

    /// <summary>Whether the learning rate of a parameter is multiplied by the root mean square of its weights: not.</summary>
    public bool RelativeStep { get; init; }

    /// <summary>Added to squared gradients: 1e-30.</summary>
    public double Epsilon1 { get; init; } = 1e-30;

    /// <summary>The least root mean square of weights that <see cref="RelativeStep"/> takes: 1e-3.</summary>
    public double Epsilon2 { get; init; } = 1e-3;

    /// <summary>The decoupled weight decay: 0.</summary>
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public IOptimizerState Start(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        Guard.InRange(DecayPower, double.Epsilon, 1.0);
        Guard.InRange(Beta1, 0.0, Math.BitDecrement(1.0));
        Guard.Positive(ClipThreshold);
        Guard.Positive(Epsilon1);
        Guard.Positive(Epsilon2);
        Guard.InRange(WeightDecay, 0.0, double.MaxValue);
        return new AdafactorState(this, layout);
    }
}
