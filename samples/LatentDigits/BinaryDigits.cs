using Diffusion.Core;
using TorchSharp;

namespace LatentDigits;

/// <summary>
/// Binary digits, the kind of data on which the autoencoder is trained: a pixel is 1 if it is lighter than middle grey, and 0 otherwise.
/// </summary>
internal sealed class BinaryDigits(IDataset digits) : IDataset
{
    public long Count => digits.Count;

    public IReadOnlyList<long> SampleShape => digits.SampleShape;

    public LoadThreading Threading => digits.Threading;

    public Batch Load(ReadOnlySpan<long> indices) => Binary(digits.Load(indices));

    public Batch Load(ReadOnlySpan<long> indices, LoadContext context) => Binary(digits.Load(indices, context));

    private static Batch Binary(Batch batch)
    {
        using var grey = batch.Samples;
        using Scalar middle = 0.0;
        using var light = grey.gt(middle);
        return new Batch(light.to(grey.dtype), batch.Condition);
    }
}
