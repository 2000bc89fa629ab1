namespace Diffusion.Core.Data;

/// <summary>Uniform noise of the width of a level on bytes in [-1, 1].</summary>
internal sealed record Dequantisation : IAugmentation
{
    private const int DrawsInBits = 4;

    public bool MovesPixels => false;

    public IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape) => shape;

    public void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random)
    {
        var bits = 0UL;
        for (var i = 0; i < source.Length; i++, bits >>= 16)
        {
            if (i % DrawsInBits == 0)
                bits = random.NextBits();
            var level = Math.Clamp(MathF.Round((source[i] + 1f) * 127.5f), 0f, 255f);
            // The middle of one of 2^16 equal parts: no step of this rounds.
            var noise = ((ushort)bits + 0.5f) / 65536f;
            result[i] = (float)(((level + (double)noise) / 128.0) - 1.0);
        }
    }
}
