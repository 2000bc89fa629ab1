namespace Diffusion.Core.Data;

/// <summary>What every data set here does the same way.</summary>
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

    /// <summary>Checks what <see cref="IBufferedDataset.Fill"/> is given.</summary>
    /// <exception cref="ArgumentException">An index is out of range, or a span does not fit the indices.</exception>
    public static void CheckFill(
        IBufferedDataset dataset, ReadOnlySpan<long> indices, ReadOnlySpan<float> samples, ReadOnlySpan<long> labels)
    {
        CheckIndices(indices, dataset.Count);
        var values = indices.Length * SizeOf(dataset.SampleShape);
        if (samples.Length != values)
            throw new ArgumentException(
                $"The samples of {indices.Length} indices are {values} values, got {samples.Length}.", nameof(samples));
        var expected = dataset.HasLabels ? indices.Length : 0;
        if (labels.Length != expected)
            throw new ArgumentException($"There must be room for {expected} labels, got {labels.Length}.", nameof(labels));
    }

    /// <summary>Values in a sample.</summary>
    public static long SizeOf(IReadOnlyList<long> shape)
    {
        var size = 1L;
        for (var i = 0; i < shape.Count; i++)
            size = checked(size * shape[i]);
        return size;
    }
}
