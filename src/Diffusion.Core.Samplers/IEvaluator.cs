using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>A network as solvers see it: its prediction, whatever that is, already turned into x_0 and eps.</summary>
public interface IEvaluator
{
    /// <summary>One call of the network.</summary>
    /// <param name="x">[B, ...] a sample at <paramref name="level"/>; not changed, and not to be changed while the answer is in use.</param>
    /// <param name="time">The time of the schedule that the network is told.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <returns>The caller's.</returns>
    Evaluation Evaluate(Tensor x, double time, NoiseLevel level);
}
