using static TorchSharp.torch;

namespace Diffusion.Core.Tests.Support;

/// <summary>Points in the plane in memory: point i is (cos i, sin i), so that no two are the same.</summary>
public sealed class Points(long count) : IDataset
{
    /// <summary>The indices of every batch that was asked for, in order.</summary>
    public List<long[]> Loaded { get; } = [];

    /// <summary>Told the number of batches asked for before each is loaded.</summary>
    public Action<int>? Loading { get; set; }

    /// <summary>Takes the place of the points where it answers.</summary>
    public Func<long[], Tensor?>? Substitute { get; set; }

    public long Count => count;

    public IReadOnlyList<long> SampleShape { get; } = [2];

    public Batch Load(ReadOnlySpan<long> indices)
    {
        Loading?.Invoke(Loaded.Count);
        var wanted = indices.ToArray();
        Loaded.Add(wanted);
        if (Substitute?.Invoke(wanted) is { } other)
            return new Batch(other);
        var values = new float[2 * wanted.Length];
        for (var i = 0; i < wanted.Length; i++)
            (values[2 * i], values[(2 * i) + 1]) = ((float)Math.Cos(wanted[i]), (float)Math.Sin(wanted[i]));
        using var flat = tensor(values);
        return new Batch(flat.view(-1, 2));
    }
}
