using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom data set: points on a circle.</summary>
internal sealed class RingDataset : IDataset
{
    public long Count => 360;

    public IReadOnlyList<long> SampleShape { get; } = [2];

    public Batch Load(ReadOnlySpan<long> indices)
    {
        var values = new float[2 * indices.Length];
        for (var i = 0; i < indices.Length; i++)
        {
            var angle = 2.0 * Math.PI * indices[i] / Count;
            (values[2 * i], values[(2 * i) + 1]) = ((float)Math.Cos(angle), (float)Math.Sin(angle));
        }

        using var flat = tensor(values);
        return new Batch(flat.reshape(-1, 2).clone());
    }
}
