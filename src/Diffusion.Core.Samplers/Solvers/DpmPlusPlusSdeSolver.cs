using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DPM-Solver++ SDE (2S): an ancestral step to an intermediate point, and an ancestral step over the whole interval with the x_0 predicted
/// at that point. Both use the same Brownian path if the noise is a <see cref="BrownianTreeNoise"/>.
/// </summary>
/// <remarks>
/// With y = x / alpha and r = sigma / alpha, each of the two steps is <c>(r_down / r) y + (1 - r_down / r) x_0 + r_up z</c>, the first with
/// the x_0 at the start, the second with <c>(1 - 1 / (2 c)) x_0 + 1 / (2 c) x_0'</c>. A step needs two network calls, or one if it goes to
/// clean data or starts from pure noise. With eta 0 the method is DPM-Solver++(2S), of second order. With noise, the standard deviation of
/// the samples converges with second order along one path (<c>SamplingRequest.Noise = new BrownianTreeNoise(seed, count)</c>), and with
/// first order for independent draws.
/// Source: Lu et al. 2022, "DPM-Solver++", section 6 and appendix B; k-diffusion, sample_dpmpp_sde.
/// </remarks>
public sealed class DpmPlusPlusSdeSolver : ISolver
{
    /// <summary>Initializes a new instance of the <see cref="DpmPlusPlusSdeSolver"/> class.</summary>
    /// <param name="eta">The amount of noise, from 0 (deterministic) to 1 (the noise of the posterior). The default is 1.</param>
    /// <param name="noiseScale">The standard deviation of z. The default is 1.</param>
    /// <param name="fraction">
    /// c, the position of the intermediate point as a fraction of the step in log(sigma / alpha), in (0, 1]. The default is 0.5.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">eta, the scale or the fraction is outside its range.</exception>
    public DpmPlusPlusSdeSolver(double eta = 1.0, double noiseScale = 1.0, double fraction = 0.5)
    {
        (Eta, NoiseScale) = (Guard.InRange(eta, 0.0, 1.0), Guard.PositiveFactor(noiseScale));
        Fraction = Guard.InRange(Guard.Positive(fraction), 0.0, 1.0);
    }

    /// <summary>The factor that multiplies the standard deviation of the posterior noise, from 0 to 1.</summary>
    public double Eta { get; }

    /// <summary>The standard deviation of z.</summary>
    public double NoiseScale { get; }

    /// <summary>c, the position of the intermediate point as a fraction of the step in log(sigma / alpha).</summary>
    public double Fraction { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var (from, to) = (step.From, step.To);
        if (to.Sigma == 0.0 || from.Alpha == 0.0 || to.NoiseToSignalRatio == from.NoiseToSignalRatio)
            return Move(step, to, step.Current.X0);

        var (time, middle) = step.At(from.Lambda + (Fraction * (to.Lambda - from.Lambda)));
        using var x = Move(step, middle, step.Current.X0);
        using var evaluation = step.Evaluate(x, time, middle);
        var weight = 1.0 / (2.0 * Fraction);
        if (weight == 1.0)
            return Move(step, to, evaluation.X0);
        using var data = new LinearPair(1.0 - weight, weight).Apply(step.Current.X0, evaluation.X0);
        return Move(step, to, data);
    }

    /// <summary>
    /// Computes the ancestral step with a given x_0. The term (r_down / r) y is computed as r_down x / sigma, which is finite for an
    /// infinite r.
    /// </summary>
    private Tensor Move(SolverStep step, NoiseLevel to, Tensor data)
    {
        var from = step.From;
        var (down, up) = SigmaAlgebra.Ancestral(from.NoiseToSignalRatio, to.NoiseToSignalRatio, Eta);
        var next = to.NoiseToSignalRatio == from.NoiseToSignalRatio
            ? step.Sample.Mul(to.Alpha / from.Alpha)
            : new LinearPair(to.Alpha * (1.0 - (down / from.NoiseToSignalRatio)), to.Alpha * down / from.Sigma).Apply(data, step.Sample);
        if (up == 0.0)
            return next;
        using var noise = step.Noise.Draw(step.Sample, from.NoiseToSignalRatio, to.NoiseToSignalRatio);
        return next.Add_(noise, alpha: to.Alpha * up * NoiseScale);
    }
}
