using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Steps in the coordinates of Karras et al. 2022: y = x / alpha over r = sigma / alpha, in which the probability flow ODE is dy / dr = eps
/// for every alpha. A solver written in them works in the same way for every process.
/// </summary>
internal static class SigmaAlgebra
{
    /// <summary>
    /// Splits an ancestral step to the ratio <paramref name="to"/>: a deterministic part down to Down, then noise of standard deviation Up,
    /// with <c>Up = eta r' sqrt(1 - (r' / r)^2)</c> and <c>Down^2 + Up^2 = r'^2</c>. The infinite ratio of a start without signal is
    /// allowed.
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
    /// <c>alpha' x_0 + sigma' eps</c>: an Euler step from the level of a prediction. It needs no division by alpha, so that it can start at
    /// a level without signal, and none by sigma, so that it gives x_0 itself at a level without noise.
    /// </summary>
    public static Tensor EulerTo(ModelPrediction evaluation, NoiseLevel to) => evaluation.Mix(to.Alpha, to.Sigma);

    /// <summary><c>alpha' (x / alpha + (r' - r) slope)</c>: a step from x along a slope computed elsewhere. alpha must not be 0.</summary>
    public static Tensor Along(Tensor x, NoiseLevel from, Tensor slope, NoiseLevel to)
        => new LinearPair(to.Alpha / from.Alpha, Length(from, to)).Apply(x, slope);

    /// <summary><c>alpha' (r' - r)</c>, the factor of a slope in x. alpha must not be 0.</summary>
    public static double Length(NoiseLevel from, NoiseLevel to) => to.Sigma - (to.Alpha * from.NoiseToSignalRatio);

    /// <summary>The time of the level that a step leads to: that of the grid, or that of the schedule after the end of the grid.</summary>
    public static double TargetTime(SolverStep step)
        => step.IsLast ? step.At(step.To.Lambda).Time : step.Grid.Times[step.Index + 1];
}
