namespace Diffusion.Core.Data;

/// <summary>Functions that the data sets share.</summary>
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
                    nameof(indices), indices[i], Invariant($"Every index must be in 0..{count - 1}, got {indices[i]} at position {i}."));
        }
    }

    /// <summary>Checks the arguments of <see cref="IBufferedDataset.Fill"/>.</summary>
    /// <exception cref="ArgumentException">There are no indices, an index is out of range, or a span has the wrong length.</exception>
    public static void CheckFill(
        IBufferedDataset dataset, ReadOnlySpan<long> indices, ReadOnlySpan<float> samples, ReadOnlySpan<long> labels)
    {
        CheckIndices(indices, dataset.Count);
        var values = indices.Length * SizeOf(dataset.SampleShape);
        if (samples.Length != values)
            throw new ArgumentException(
                Invariant($"samples must have {values} values for {indices.Length} indices, got {samples.Length}."), nameof(samples));
        var expected = dataset.HasLabels ? indices.Length : 0;
        if (labels.Length != expected)
            throw new ArgumentException($"labels must have {expected} values, got {labels.Length}.", nameof(labels));
    }

    /// <summary>Returns the number of values in a sample.</summary>
    public static long SizeOf(IReadOnlyList<long> shape)
    {
        var size = 1L;
        for (var i = 0; i < shape.Count; i++)
            size = checked(size * shape[i]);
        return size;
    }
}
