using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Steps in the coordinates of Karras et al. 2022, y = x / alpha and r = sigma / alpha, in which the probability flow ODE is dy / dr = eps
/// for every alpha. A solver in these coordinates is the same for every process.
/// </summary>
internal static class SigmaAlgebra
{
    /// <summary>
    /// Splits an ancestral step to the ratio <paramref name="to"/> into a deterministic step to the ratio Down and noise of standard
    /// deviation Up, with <c>Up = eta r' sqrt(1 - (r' / r)^2)</c> and <c>Down^2 + Up^2 = r'^2</c>. The ratio at the start may be infinite:
    /// a level without signal.
    /// </summary>
    public static (double Down, double Up) Ancestral(double from, double to, double eta)
    {
        if (eta == 0.0 || to >= from)
            return (to, 0.0);
        var quotient = to / from;
        var up = Math.Min(to, eta * to * Math.Sqrt(1.0 - (quotient * quotient)));
        return (Math.Sqrt((to - up) * (to + up)), up);
    }

    /// <summary>
    /// Computes <c>alpha' x_0 + sigma' eps</c>, an Euler step from the level of a prediction. The formula divides neither by alpha nor by
    /// sigma, so it can be used at a level without signal, and for a step to a level without noise.
    /// </summary>
    public static Tensor EulerTo(ModelPrediction evaluation, NoiseLevel to) => evaluation.Mix(to.Alpha, to.Sigma);

    /// <summary>Computes <c>alpha' (x / alpha + (r' - r) slope)</c>, a step from x with the given slope. alpha must not be 0.</summary>
    public static Tensor Along(Tensor x, NoiseLevel from, Tensor slope, NoiseLevel to)
        => new LinearPair(to.Alpha / from.Alpha, Length(from, to)).Apply(x, slope);

    /// <summary>Computes <c>alpha' (r' - r)</c>, the factor of a slope in x. alpha must not be 0.</summary>
    public static double Length(NoiseLevel from, NoiseLevel to) => to.Sigma - (to.Alpha * from.NoiseToSignalRatio);

    /// <summary>
    /// Returns the time of the level at the end of a step: the next time of the grid or, for the last step, the time at which the schedule
    /// has this level.
    /// </summary>
    public static double TargetTime(SolverStep step)
        => step.IsLast ? step.At(step.To.Lambda).Time : step.Grid.Times[step.Index + 1];
}
