using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// DDIM: a step from (alpha, sigma) to (alpha', sigma') is <c>alpha' x_0 + sqrt(sigma'^2 - w^2) eps + w z</c>, where w is <c>eta</c> times
/// the standard deviation of q(x_s | x_t, x_0). With eta 0 the step is deterministic, and equals an Euler step of the probability flow ODE.
/// With eta 1 it is the "Euler ancestral" step of k-diffusion, for every process.
/// </summary>
/// <remarks>Source: Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models", eq. 12 and 16.</remarks>
public sealed class DdimSolver : ISolver
{
    /// <summary>Initializes a new instance of the <see cref="DdimSolver"/> class.</summary>
    /// <param name="eta">The amount of noise, from 0 (deterministic) to 1 (the noise of the posterior). The default is 0.</param>
    /// <param name="noiseScale">The standard deviation of z. The default is 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">eta is outside [0, 1], or the scale is not finite and greater than 0.</exception>
    public DdimSolver(double eta = 0.0, double noiseScale = 1.0)
        => (Eta, NoiseScale) = (Guard.InRange(eta, 0.0, 1.0), Guard.PositiveFactor(noiseScale));

    /// <summary>The factor that multiplies the standard deviation of the posterior noise, from 0 to 1.</summary>
    public double Eta { get; }

    /// <summary>The standard deviation of z.</summary>
    public double NoiseScale { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var (from, to) = (step.From, step.To);
        if (to.Sigma == 0.0 || Eta == 0.0)
            return step.Current.Mix(to.Alpha, to.Sigma);

        var deviation = Eta * Math.Sqrt(GaussianTransition.PosteriorVariance(from, to));
        var direction = Math.Sqrt(Math.Max((to.Sigma * to.Sigma) - (deviation * deviation), 0.0));
        using var noise = step.DrawNoise();
        return step.Current.Mix(to.Alpha, direction).Add_(noise, alpha: deviation * NoiseScale);
    }
}
