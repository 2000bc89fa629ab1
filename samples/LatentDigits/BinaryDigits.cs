using Diffusion.Core;

namespace LatentDigits;

/// <summary>Digits as the autoencoder knows them: a pixel is 1 where it is lighter than middle grey, else 0.</summary>
internal sealed class BinaryDigits(IDataset digits) : IDataset
{
    public long Count => digits.Count;

    public IReadOnlyList<long> SampleShape => digits.SampleShape;

    public Batch Load(ReadOnlySpan<long> indices)
    {
        var batch = digits.Load(indices);
        using var grey = batch.Samples;
        using var light = grey.gt(0.0);
        return new Batch(light.to(grey.dtype), batch.Condition);
    }
}
