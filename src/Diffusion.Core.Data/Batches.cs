using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Data;

/// <summary>What every data set here does the same way: checks of indices, and batches from managed memory.</summary>
internal static class Batches
{
    /// <summary>Requires at least one index, each in 0..count-1.</summary>
    public static void CheckIndices(ReadOnlySpan<long> indices, long count)
    {
        if (indices.IsEmpty)
            throw new ArgumentException("A batch needs at least one index, got none.", nameof(indices));
        for (var i = 0; i < indices.Length; i++)
        {
            if (indices[i] < 0 || indices[i] >= count)
                throw new ArgumentOutOfRangeException(
                    nameof(indices), indices[i], $"Every index must lie in 0..{count - 1}, got {indices[i]} at position {i}.");
        }
    }

    /// <summary>A batch that owns a copy of the values.</summary>
    /// <param name="values">B times the size of a sample.</param>
    /// <param name="sampleShape">Without the batch dimension.</param>
    /// <param name="labels">[B], or null.</param>
    public static Batch Create(float[] values, ReadOnlySpan<long> sampleShape, long[]? labels = null)
    {
        var size = 1L;
        foreach (var length in sampleShape)
            size *= length;
        long[] shape = [values.Length / size, .. sampleShape];
        var samples = tensor(values, shape);
        return new Batch(samples, labels is null ? null : Condition.OfLabels(labels));
    }
}
