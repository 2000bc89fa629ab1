using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DPM-Solver++ SDE (2S): an ancestral step to a point between, and one over the whole step with the x_0 found there. Both follow one
/// Brownian path where the noise is a <see cref="BrownianTreeNoise"/>.
/// </summary>
/// <remarks>
/// With y = x / alpha and r = sigma / alpha, each of the two is <c>(r_down / r) y + (1 - r_down / r) x_0 + r_up z</c>, from x_0 at the
/// start and then from <c>(1 - 1 / (2 c)) x_0 + 1 / (2 c) x_0'</c>. Two calls of the network a step; one where the step leads to data
/// without noise, or leaves from noise without data. With eta 0 it is DPM-Solver++(2S), of second order. With noise the spread of the
/// samples converges with second order along one path, <c>SamplingRequest.Noise = new BrownianTreeNoise(seed, count)</c>, and only with
/// first order from independent draws.
/// Source: Lu et al. 2022, "DPM-Solver++", section 6 and appendix B; k-diffusion, sample_dpmpp_sde.
/// </remarks>
public sealed class DpmPlusPlusSdeSolver : ISolver
{
    /// <summary>The method for one eta.</summary>
    /// <param name="eta">From 0, deterministic, to 1, the noise of the posterior.</param>
    /// <param name="noiseScale">The standard deviation of z; 1 unless said otherwise.</param>
    /// <param name="fraction">c: where the point between lies, as a share of the step in log(sigma / alpha), in (0, 1].</param>
    /// <exception cref="ArgumentOutOfRangeException">eta, the scale or the fraction lies outside its range.</exception>
    public DpmPlusPlusSdeSolver(double eta = 1.0, double noiseScale = 1.0, double fraction = 0.5)
    {
        (Eta, NoiseScale) = (Guard.InRange(eta, 0.0, 1.0), Guard.Positive(noiseScale));
        Fraction = Guard.InRange(Guard.Positive(fraction), 0.0, 1.0);
    }

    /// <summary>How much of the posterior's noise is drawn anew, 0 to 1.</summary>
    public double Eta { get; }

    /// <summary>The standard deviation of z.</summary>
    public double NoiseScale { get; }

    /// <summary>Where the point between lies, as a share of the step in log(sigma / alpha).</summary>
    public double Fraction { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var (from, to) = (step.From, step.To);
        if (to.Sigma == 0.0 || from.Alpha == 0.0 || to.Ratio == from.Ratio)
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

    /// <summary>The ancestral step with a given x_0, in a form that no infinite ratio enters: (r_down / r) y = r_down x / sigma.</summary>
    private Tensor Move(SolverStep step, NoiseLevel to, Tensor data)
    {
        var from = step.From;
        var (down, up) = SigmaAlgebra.Ancestral(from.Ratio, to.Ratio, Eta);
        var next = to.Ratio == from.Ratio
            ? step.Sample.Mul(to.Alpha / from.Alpha)
            : new LinearPair(to.Alpha * (1.0 - (down / from.Ratio)), to.Alpha * down / from.Sigma).Apply(data, step.Sample);
        if (up == 0.0)
            return next;
        using var noise = step.Noise.Draw(step.Sample, from.Ratio, to.Ratio);
        return next.Add_(noise, alpha: to.Alpha * up * NoiseScale);
    }
}
