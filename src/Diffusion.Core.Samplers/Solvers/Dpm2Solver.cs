using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DPM2 and DPM2 ancestral: the slope in the middle of the step, by log(sigma / alpha). With eta above 0 a step goes down further than the
/// grid says and noise makes up for it.
/// </summary>
/// <remarks>
/// <c>y' = y + (r_down - r) eps(y_mid, r_mid) + r_up z</c> with y = x / alpha, r = sigma / alpha and <c>r_mid = sqrt(r r_down)</c>. Of
/// second order without noise, two calls of the network a step; one where the step leads to data without noise, or leaves from noise
/// without data, which are Euler's steps. Without noise this is DPM-Solver-2 with r_1 = 1/2 (Lu et al. 2022, Algorithm 1).
/// Source: k-diffusion, sample_dpm_2 and sample_dpm_2_ancestral; Karras et al. 2022, Algorithm 2 for the churn.
/// </remarks>
public sealed class Dpm2Solver : ISolver
{
    /// <summary>The method for one eta.</summary>
    /// <param name="eta">From 0, deterministic, to 1, the noise of the posterior.</param>
    /// <param name="noiseScale">The standard deviation of z; 1 unless said otherwise.</param>
    /// <param name="churn">Noise added before a step; none unless said otherwise.</param>
    /// <exception cref="ArgumentOutOfRangeException">eta lies outside [0, 1], or the scale is not finite and greater than 0.</exception>
    public Dpm2Solver(double eta = 0.0, double noiseScale = 1.0, Churn? churn = null)
        => (Eta, NoiseScale, Churn) = (Guard.InRange(eta, 0.0, 1.0), Guard.Positive(noiseScale), churn ?? Churn.None);

    /// <summary>How much of the posterior's noise is drawn anew, 0 to 1.</summary>
    public double Eta { get; }

    /// <summary>The standard deviation of z.</summary>
    public double NoiseScale { get; }

    /// <summary>Noise added before a step.</summary>
    public Churn Churn { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var to = step.To;
        using var start = ChurnedStart.Of(step, Churn);
        var (down, up) = SigmaAlgebra.Ancestral(start.Level.Ratio, to.Ratio, Eta);
        var reached = Eta == 0.0 ? to : new NoiseLevel(to.Alpha, to.Alpha * down);
        var next = reached.Sigma == 0.0 || start.Level.Alpha == 0.0 || reached.Ratio == start.Level.Ratio
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
