using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Schedules;

public sealed partial class DiscreteSchedule
{
    /// <summary>Creates a schedule from its betas.</summary>
    /// <exception cref="ArgumentException">
    /// There are no steps, a beta is outside (0, 1] or so small that 1 - beta is 1 in double precision, or a beta before the last is
    /// 1.
    /// </exception>
    public static DiscreteSchedule FromBetas(ReadOnlySpan<double> betas, ILogger? logger = null) => new(betas.ToArray(), logger);

    /// <summary>
    /// Creates a schedule from its betas and the timesteps that are passed to the network, such as those of a respaced schedule.
    /// </summary>
    /// <param name="betas">[T] beta_t.</param>
    /// <param name="timesteps">
    /// [T] the timestep that is passed to the network at each index, in increasing order; empty to pass the indices themselves.
    /// </param>
    /// <exception cref="ArgumentException">
    /// There are no steps, a beta is outside (0, 1] or so small that 1 - beta is 1 in double precision, a beta before the last is 1,
    /// or the timesteps are not finite, not in increasing order, or not as many as the betas.
    /// </exception>
    public static DiscreteSchedule FromTable(ReadOnlySpan<double> betas, ReadOnlySpan<double> timesteps)
    {
        if (timesteps.IsEmpty)
            return new DiscreteSchedule(betas.ToArray(), logger: null);
        if (timesteps.Length != betas.Length)
            throw new ArgumentException($"There must be {betas.Length} timesteps, got {timesteps.Length}.", nameof(timesteps));
        for (var t = 0; t < timesteps.Length; t++)
        {
            if (!double.IsFinite(timesteps[t]) || (t > 0 && timesteps[t] <= timesteps[t - 1]))
                throw new ArgumentException(
                    Invariant($"The timesteps must be finite and rise, got timesteps[{t}] = {timesteps[t]:R}."), nameof(timesteps));
        }

        return new DiscreteSchedule(betas.ToArray(), logger: null, timesteps.ToArray());
    }

    /// <summary>
    /// Creates a schedule with equally spaced betas (Ho et al. 2020, section 4), the "linear" of diffusers. The first and the last
    /// beta do not depend on T: for fewer than 1000 steps, choose larger ones or use <see cref="LinearScaledBySteps"/>.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Linear(int steps = 1000, double betaStart = 1e-4, double betaEnd = 0.02, ILogger? logger = null)
        => new(Space(steps, betaStart, betaEnd), logger);

    /// <summary>
    /// Creates a schedule with equally spaced betas, where the first and the last are those for 1000 steps multiplied by 1000 / T, so
    /// that any number of steps ends at about the same noise level. This is the "linear" of improved-diffusion and guided-diffusion
    /// (Nichol and Dhariwal 2021).
    /// </summary>
    /// <param name="steps">
    /// T. With the default betas at least 20, since the last beta would exceed 1 for fewer steps. The default is 1000.
    /// </param>
    /// <param name="betaStart">The first beta of a schedule of 1000 steps. The default is 1e-4.</param>
    /// <param name="betaEnd">The last beta of a schedule of 1000 steps. The default is 0.02.</param>
    /// <param name="logger">
    /// The logger. It receives a warning if the last step still contains signal. The default is <see langword="null"/>: no warning.
    /// </param>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule LinearScaledBySteps(
        int steps = 1000, double betaStart = 1e-4, double betaEnd = 0.02, ILogger? logger = null)
    {
        Guard.InRange(steps, 1, int.MaxValue);
        var scale = 1000.0 / steps;
        return scale * betaEnd <= 1.0
            ? new DiscreteSchedule(Space(steps, scale * betaStart, scale * betaEnd), logger)
            : throw new ArgumentOutOfRangeException(
                nameof(steps),
                steps,
                Invariant($"With {steps} steps the last beta would be {scale * betaEnd:G6}, above 1; use at least ")
                + Invariant($"{1000.0 * betaEnd:G6} steps."));
    }

    /// <summary>
    /// Creates a schedule whose betas have equally spaced square roots: the "linear" of latent diffusion (Rombach et al. 2022) and the
    /// "scaled_linear" of diffusers.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule ScaledLinear(
        int steps = 1000, double betaStart = 0.00085, double betaEnd = 0.012, ILogger? logger = null)
    {
        Guard.InRange(betaStart, 0.0, 1.0);
        Guard.InRange(betaEnd, 0.0, 1.0);
        var betas = Space(steps, Math.Sqrt(betaStart), Math.Sqrt(betaEnd));
        for (var t = 0; t < betas.Length; t++)
            betas[t] *= betas[t];
        return new DiscreteSchedule(betas, logger);
    }

    /// <summary>
    /// Creates a <see cref="ScaledLinear"/> schedule with the first and the last beta of DDPM: the "quad" of the code of Ho et al.
    /// 2020.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Quadratic(int steps = 1000, double betaStart = 1e-4, double betaEnd = 0.02, ILogger? logger = null)
        => ScaledLinear(steps, betaStart, betaEnd, logger);

    /// <summary>Creates a schedule in which every step has the same beta: the "const" of the code of Ho et al. 2020.</summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Constant(int steps = 1000, double beta = 0.02, ILogger? logger = null)
        => new(Space(steps, beta, beta), logger);

    /// <summary>
    /// Creates a schedule with beta_t = 1 / (T - t), so that abar_t = 1 - (t + 1) / T decreases linearly to 0 (Sohl-Dickstein et al.
    /// 2015, section 2.4.1; the "jsd" of the code of Ho et al. 2020). The last step contains no signal, so that a network that
    /// predicts eps cannot be sampled from it.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Jsd(int steps = 1000, ILogger? logger = null)
    {
        Guard.InRange(steps, 1, int.MaxValue);
        var betas = new double[steps];
        for (var t = 0; t < steps; t++)
            betas[t] = 1.0 / (steps - t);
        return new DiscreteSchedule(betas, logger);
    }

    /// <summary>
    /// Creates a schedule whose betas increase linearly over the first steps and are constant afterwards: the "warmup10" (a tenth of
    /// the steps) and "warmup50" (half of the steps) of the code of Ho et al. 2020.
    /// </summary>
    /// <param name="steps">T, at least 1. The default is 1000.</param>
    /// <param name="fraction">The fraction of the steps over which the betas increase, in [0, 1]. The default is 0.1.</param>
    /// <param name="betaStart">The first beta. The default is 1e-4.</param>
    /// <param name="betaEnd">The beta of the remaining steps. The default is 0.02.</param>
    /// <param name="logger">
    /// The logger. It receives a warning if the last step still contains signal. The default is <see langword="null"/>: no warning.
    /// </param>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule WarmUp(
        int steps = 1000, double fraction = 0.1, double betaStart = 1e-4, double betaEnd = 0.02, ILogger? logger = null)
    {
        Guard.InRange(fraction, 0.0, 1.0);
        var betas = Space(steps, betaEnd, betaEnd);
        var rising = (int)(steps * fraction);
        if (rising > 0)
            Space(rising, betaStart, betaEnd).CopyTo(betas, 0);
        return new DiscreteSchedule(betas, logger);
    }

    /// <summary>
    /// Creates a schedule whose betas follow the logistic function from -6 to 6, rescaled to lie between <paramref name="betaStart"/>
    /// and <paramref name="betaEnd"/>: the "sigmoid" of diffusers (Xu et al. 2022, GeoDiff). It differs from
    /// <see cref="SigmoidAlphaBar"/>, which applies the logistic function to abar.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule SigmoidBeta(int steps = 1000, double betaStart = 1e-4, double betaEnd = 0.02, ILogger? logger = null)
    {
        var betas = Space(steps, -6.0, 6.0);
        for (var t = 0; t < steps; t++)
            betas[t] = betaStart + ((betaEnd - betaStart) * MathNet.Numerics.SpecialFunctions.Logistic(betas[t]));
        return new DiscreteSchedule(betas, logger);
    }

    private static double[] Space(int steps, double first, double last)
    {
        Guard.InRange(steps, 1, int.MaxValue);
        var values = new double[steps];
        for (var i = 0; i < steps; i++)
            values[i] = steps == 1 ? first : first + ((last - first) * i / (steps - 1));
        return values;
    }
}
