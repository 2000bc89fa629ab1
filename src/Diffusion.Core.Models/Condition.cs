using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// What a network is told beside x_t and t. Derive from it for a condition of your own; the trainer and the samplers only pass it on.
/// </summary>
public class Condition : IDisposable
{
    /// <summary>[B] int64 class labels, or null. A network without classes does not look at them. Owned by the condition.</summary>
    public Tensor? Labels { get; init; }

    /// <summary>A condition on class labels, one for each sample, on the given device.</summary>
    public static Condition OfLabels(ReadOnlySpan<long> labels, Device? device = null)
        => new() { Labels = tensor(labels.ToArray(), dtype: ScalarType.Int64, device: device) };

    /// <summary>The same condition on another device, as a new object that owns its tensors.</summary>
    public virtual Condition To(Device device) => new() { Labels = Labels?.to(device, copy: true) };

    /// <summary>Samples [start, start + count) of the batch, as a new object that owns its tensors.</summary>
    public virtual Condition Slice(long start, long count) => new() { Labels = Labels?.narrow(0, start, count).clone() };

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the tensors.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
            Labels?.Dispose();
    }
}
