using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom solver: the midpoint rule for x / alpha over sigma / alpha, with two calls of the network a step.</summary>
internal sealed class MidpointSolver : ISolver
{
    public Tensor Step(SolverStep step)
    {
        var (from, to) = (step.From, step.To);
        if (to.Sigma == 0.0)
            return step.Current.Mix(to.Alpha, 0.0);
        var (time, middle) = step.At(-Math.Log(0.5 * (from.NoiseToSignalRatio + to.NoiseToSignalRatio)));
        using var half = Move(step.Sample, step.Current.Epsilon, from, middle);
        using var prediction = step.Evaluate(half, time, middle);
        return Move(step.Sample, prediction.Epsilon, from, to);
    }

    private static Tensor Move(Tensor x, Tensor slope, NoiseLevel from, NoiseLevel to)
        => new LinearPair(to.Alpha / from.Alpha, to.Alpha * (to.NoiseToSignalRatio - from.NoiseToSignalRatio)).Apply(x, slope);
}
