using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>What a trainer asks of a batch of data, whatever it holds. A batch owns its tensors.</summary>
/// <typeparam name="TSelf">The type that implements it.</typeparam>
public interface IBatch<TSelf> : IDisposable
    where TSelf : IBatch<TSelf>
{
    /// <summary>B, the number of samples.</summary>
    long Count { get; }

    /// <summary>Samples [<paramref name="first"/>, <paramref name="first"/> + <paramref name="count"/>), as a batch of their own.</summary>
    /// <remarks>It may share memory with this batch: use it while this batch is not disposed, and dispose it too.</remarks>
    /// <param name="first">0..B-1.</param>
    /// <param name="count">At least 1; the end may not lie beyond B.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range lies outside the batch.</exception>
    TSelf Slice(long first, long count);

    /// <summary>
    /// The batch on a device, its floating point data in an element type. Copies to a CUDA device do not wait for it.
    /// </summary>
    /// <remarks>It may share memory with this batch: use it while this batch is not disposed, and dispose it too.</remarks>
    /// <param name="device">The device of the model.</param>
    /// <param name="dtype">The floating point type that the model computes in.</param>
    TSelf To(Device device, ScalarType dtype);
}
