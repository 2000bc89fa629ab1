using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>A network as solvers see it: its prediction, whatever that is, already turned into x_0 and eps.</summary>
public interface IEvaluator
{
    /// <summary>One call of the network.</summary>
    /// <param name="x">
    /// [B, ...] a sample at <paramref name="level"/>; not changed, and not to be changed while the answer is in use.
    /// </param>
    /// <param name="time">The time of the schedule that the network is told.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <returns>The caller's.</returns>
    Evaluation Evaluate(Tensor x, double time, NoiseLevel level);

    /// <summary>
    /// One call of the network, whose answer is read as if it had been given at another sample: for methods that call it before they
    /// change the sample.
    /// </summary>
    /// <param name="x">[B, ...] what the network is given, a sample at <paramref name="level"/>; not changed.</param>
    /// <param name="time">The time of the schedule that the network is told.</param>
    /// <param name="level">alpha and sigma of <paramref name="x"/>.</param>
    /// <param name="readAt">The shape of <paramref name="x"/>: the sample that x_0 and eps are derived for; not changed.</param>
    /// <param name="readLevel">alpha and sigma of <paramref name="readAt"/>.</param>
    /// <returns>The evaluation of <paramref name="readAt"/>; the caller's.</returns>
    /// <exception cref="NotSupportedException">This evaluator has no answer apart from x_0 and eps.</exception>
    Evaluation EvaluateAs(Tensor x, double time, NoiseLevel level, Tensor readAt, NoiseLevel readLevel)
        => throw new NotSupportedException($"{GetType().Name} cannot read an answer at another sample than it was given at.");
}
