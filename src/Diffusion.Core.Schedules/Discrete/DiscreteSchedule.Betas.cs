using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Schedules;

public sealed partial class DiscreteSchedule
{
    /// <summary>A schedule from its betas.</summary>
    /// <exception cref="ArgumentException">No steps, a beta outside (0, 1], or a beta of 1 before the last.</exception>
    public static DiscreteSchedule FromBetas(ReadOnlySpan<double> betas, ILogger? logger = null) => new(betas.ToArray(), logger);

    /// <summary>A schedule from its betas and the timesteps passed to the network, as a respaced schedule has them.</summary>
    /// <param name="betas">[T] beta_t.</param>
    /// <param name="timesteps">[T] what the network receives at each index, rising; empty for the indices themselves.</param>
    /// <exception cref="ArgumentException">
    /// No steps, a beta outside (0, 1], a beta of 1 before the last, or not as many rising timesteps as betas.
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
                throw new ArgumentException($"The timesteps must be finite and rise, got timesteps[{t}] = {timesteps[t]:R}.", nameof(timesteps));
        }

        return new DiscreteSchedule(betas.ToArray(), logger: null, timesteps.ToArray());
    }

    /// <summary>
    /// Betas equally spaced (Ho et al. 2020, section 4). Nothing is scaled with T: for fewer than 1000 steps choose the ends, or take
    /// <see cref="LinearScaledBySteps"/>. The "linear" of diffusers.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Linear(int steps = 1000, double betaStart = 1e-4, double betaEnd = 0.02, ILogger? logger = null)
        => new(Space(steps, betaStart, betaEnd), logger);

    /// <summary>
    /// Betas equally spaced, their ends those of 1000 steps times 1000 / T, so that the same noise is reached in any number of steps. The
    /// "linear" of improved-diffusion and guided-diffusion (Nichol and Dhariwal 2021).
    /// </summary>
    /// <param name="steps">T; with the default ends at least 20, since below a beta would exceed 1.</param>
    /// <param name="betaStart">The first beta of 1000 steps.</param>
    /// <param name="betaEnd">The last beta of 1000 steps.</param>
    /// <param name="logger">The logger that receives a warning when the last step still has signal.</param>
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
                $"With {steps} steps the last beta would be {scale * betaEnd:G6}, above 1: at least {1000.0 * betaEnd:G6} are needed.");
    }

    /// <summary>
    /// Betas whose square roots are equally spaced (latent diffusion's "linear", diffusers' "scaled_linear"; Rombach et al. 2022).
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
    /// <see cref="ScaledLinear"/> with the ends of DDPM: the "quad" of Ho et al. 2020's code.
    /// </summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Quadratic(int steps = 1000, double betaStart = 1e-4, double betaEnd = 0.02, ILogger? logger = null)
        => ScaledLinear(steps, betaStart, betaEnd, logger);

    /// <summary>One beta everywhere: the "const" of Ho et al. 2020's code.</summary>
    /// <inheritdoc cref="FromBetas" path="/exception"/>
    public static DiscreteSchedule Constant(int steps = 1000, double beta = 0.02, ILogger? logger = null)
        => new(Space(steps, beta, beta), logger);

    /// <summary>
    /// beta_t = 1 / (T - t), so that abar_t = 1 - (t + 1) / T: evenly down to no signal at all (Sohl-Dickstein et al. 2015, section 2.4.1;
    /// the "jsd" of Ho et al. 2020's code). A network that predicts eps cannot be sampled from its last step.
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
    /// Betas equally spaced over a first part of the steps, and constant from there on: the "warmup10" (a tenth) and "warmup50" (a half) of
    /// Ho et al. 2020's code.
    /// </summary>
    /// <param name="steps">T, at least 1.</param>
    /// <param name="fraction">The first part, of all steps.</param>
    /// <param name="betaStart">The first beta.</param>
    /// <param name="betaEnd">The beta that is reached.</param>
    /// <param name="logger">The logger that receives a warning when the last step still has signal.</param>
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
    /// Betas on the logistic curve from -6 to 6, between two ends: the "sigmoid" of diffusers (Xu et al. 2022, GeoDiff). Not the one of
    /// <see cref="SigmoidAlphaBar"/>.
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
