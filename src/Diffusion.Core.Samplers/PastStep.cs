using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>An earlier step of a trajectory, as multistep methods need it. Owns its tensors.</summary>
/// <param name="sample">[B, ...] the sample that the step left from; taken over.</param>
/// <param name="evaluation">What the network said there; taken over.</param>
public sealed class PastStep(Tensor sample, Evaluation evaluation) : IDisposable
{
    /// <summary>[B, ...] the sample that the step left from.</summary>
    public Tensor Sample { get; } = sample;

    /// <summary>What the network said there.</summary>
    public Evaluation Evaluation { get; } = evaluation;

    /// <inheritdoc/>
    public void Dispose()
    {
        Sample.Dispose();
        Evaluation.Dispose();
    }
}
