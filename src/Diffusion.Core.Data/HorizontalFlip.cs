namespace Diffusion.Core.Data;

/// <summary>Left and right change sides.</summary>
internal sealed record HorizontalFlip(double Probability) : IAugmentation
{
    public bool MovesPixels => true;

    public IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape)
        => shape is [_, _, _]
            ? shape
            : throw new ArgumentException($"Only images [C, H, W] can be flipped, got {Guard.Format([.. shape])}.", nameof(shape));

    public void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random)
    {
        source.CopyTo(result);
        if (random.Uniform() >= Probability)
            return;
        var width = (int)shape[2];
        for (var start = 0; start < result.Length; start += width)
            result.Slice(start, width).Reverse();
    }
}
