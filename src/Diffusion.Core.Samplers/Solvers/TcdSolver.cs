using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// Strategic stochastic sampling of trajectory consistency models: a step first goes without noise to a time s earlier than the next time
/// of the grid, and then adds noise by the forward process to return to the time of the grid.
/// </summary>
/// <remarks>
/// The sample at <c>s = (1 - gamma) t'</c> is <c>x_s = alpha_s x_0 + sigma_s eps</c>, and the next sample is drawn from q(x_t' | x_s). On a
/// discrete schedule s is rounded down to an index. With gamma 0 this is <see cref="DdimSolver"/>; with gamma 1 it is
/// <see cref="ConsistencySolver"/> if the schedule begins without noise. A step to clean data returns x_0. Unlike other solvers, it depends
/// on the times of the schedule, and not only on its levels.
/// Source: Zheng et al. 2024, "Trajectory Consistency Distillation", Algorithm 2.
/// </remarks>
public sealed class TcdSolver : ISolver
{
    /// <summary>Initializes a new instance of the <see cref="TcdSolver"/> class.</summary>
    /// <param name="gamma">gamma, from 0 (deterministic) to 1. The default is 0.3, as the authors recommend.</param>
    /// <exception cref="ArgumentOutOfRangeException">gamma is outside [0, 1].</exception>
    public TcdSolver(double gamma = 0.3) => Gamma = Guard.InRange(gamma, 0.0, 1.0);

    /// <summary>
    /// The fraction of the remaining time by which a step goes beyond its target, from 0 to 1. It is called eta in diffusers.
    /// </summary>
    public double Gamma { get; }

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var to = step.To;
        if (to.Sigma == 0.0)
            return SigmaAlgebra.EulerTo(step.Current, to);

        // Between equal levels, the rounding of s must not change the step.
        var early = to == step.From ? to : Earlier(step);
        var next = SigmaAlgebra.EulerTo(step.Current, early);
        if (early == to)
            return next;
        var forward = GaussianTransition.Forward(to, early);
        using var noise = step.DrawNoise();
        return next.Mul_(forward.First).Add_(noise, alpha: forward.Second);
    }

    private NoiseLevel Earlier(SolverStep step)
    {
        var schedule = step.Grid.Schedule;
        var time = schedule.MinTime + ((1.0 - Gamma) * (SigmaAlgebra.TargetTime(step) - schedule.MinTime));
        if (schedule is DiscreteSchedule)
            time = Math.Floor((float)time); // In float32 as in the reference, where 0.7 times 850 is exactly 595 and not slightly less.
        var level = schedule.LevelAt(time);
        return level.NoiseToSignalRatio < step.To.NoiseToSignalRatio ? level : step.To;
    }
}
