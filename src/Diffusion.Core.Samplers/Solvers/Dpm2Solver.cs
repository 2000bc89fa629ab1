using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DPM2 and DPM2 ancestral: each step uses the slope at its midpoint in log(sigma / alpha). If eta is greater than 0, a step first goes to
/// a lower noise level than that of the grid, and noise is then added to reach the level of the grid.
/// </summary>
/// <remarks>
/// <c>y' = y + (r_down - r) eps(y_mid, r_mid) + r_up z</c> with y = x / alpha, r = sigma / alpha and <c>r_mid = sqrt(r r_down)</c>.
/// Without noise the method is of second order, and is DPM-Solver-2 with r_1 = 1/2 (Lu et al. 2022, Algorithm 1). Each step needs two
/// network calls. A step to clean data or from pure noise is an Euler step with one call.
/// Source: k-diffusion, sample_dpm_2 and sample_dpm_2_ancestral; Karras et al. 2022, Algorithm 2 for the churn.
/// </remarks>
public sealed class Dpm2Solver : ISolver
{
    /// <summary>Initializes a new instance of the <see cref="Dpm2Solver"/> class.</summary>
    /// <param name="eta">The amount of noise, from 0 (deterministic) to 1 (the noise of the posterior). The default is 0.</param>
    /// <param name="noiseScale">The standard deviation of z. The default is 1.</param>
    /// <param name="churn">The noise added before a step. The default is <see cref="Churn.None"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">eta is outside [0, 1], or the scale is not finite and greater than 0.</exception>
    public Dpm2Solver(double eta = 0.0, double noiseScale = 1.0, Churn? churn = null)
        => (Eta, NoiseScale, Churn) = (Guard.InRange(eta, 0.0, 1.0), Guard.PositiveFactor(noiseScale), churn ?? Churn.None);

    /// <summary>The factor that multiplies the standard deviation of the posterior noise, from 0 to 1.</summary>
    public double Eta { get; }

    /// <summary>The standard deviation of z.</summary>
    public double NoiseScale { get; }

    /// <summary>The noise added before a step.</summary>
    public Churn Churn { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var to = step.To;
        using var start = ChurnedStart.Of(step, Churn);
        var (down, up) = SigmaAlgebra.Ancestral(start.Level.NoiseToSignalRatio, to.NoiseToSignalRatio, Eta);
        var reached = Eta == 0.0 ? to : new NoiseLevel(to.Alpha, to.Alpha * down);
        var next = reached.Sigma == 0.0 || start.Level.Alpha == 0.0 || reached.NoiseToSignalRatio == start.Level.NoiseToSignalRatio
            ? SigmaAlgebra.EulerTo(start.Prediction, reached)
            : Midpoint(step, start, reached);
        if (up == 0.0)
            return next;
        using var noise = step.DrawNoise();
        return next.Add_(noise, alpha: to.Alpha * up * NoiseScale);
    }

    private static Tensor Midpoint(SolverStep step, ChurnedStart start, NoiseLevel to)
    {
        var (time, middle) = step.At(0.5 * (start.Level.Lambda + to.Lambda));
        using var x = SigmaAlgebra.EulerTo(start.Prediction, middle);
        using var evaluation = step.Evaluate(x, time, middle);
        return SigmaAlgebra.Along(start.Sample, start.Level, evaluation.Epsilon, to);
    }
}
