using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>A batch of training data. Owns its tensors.</summary>
/// <param name="samples">[B, ...]; taken over.</param>
/// <param name="condition">Of the same batch size, or null; taken over.</param>
public sealed class Batch(Tensor samples, Condition? condition = null) : IDisposable
{
    /// <summary>[B, ...] the data.</summary>
    public Tensor Samples { get; } = samples;

    /// <summary>What the network is told beside the data, or null.</summary>
    public Condition? Condition { get; } = condition;

    /// <inheritdoc/>
    public void Dispose()
    {
        Samples.Dispose();
        Condition?.Dispose();
    }
}
