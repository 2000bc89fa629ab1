using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>What an optimizer remembers of a run.</summary>
public interface IOptimizerState : IDisposable
{
    /// <summary>
    /// Everything the next steps depend on, by name. A checkpoint holds it and reads it back into the same tensors; one of [N] is held as
    /// one tensor for each parameter.
    /// </summary>
    IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <summary>One step along gradients that are finite. Must not wait for the device.</summary>
    /// <param name="weights">[N], changed in place.</param>
    /// <param name="gradients">[N]; may be changed, as they are not used again.</param>
    /// <param name="learningRate">The rate of this step.</param>
    /// <param name="apply">
    /// [] float64 on the device: 1 to take the step; 0 to leave weights and state as they are, bit for bit (the gradients are zero then).
    /// </param>
    void Step(Tensor weights, Tensor gradients, double learningRate, Tensor apply);
}
