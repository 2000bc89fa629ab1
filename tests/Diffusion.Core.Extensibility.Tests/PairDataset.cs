using static TorchSharp.torch;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>Custom data in custom batches: bars of a width, and the same bars dimmed; the upper half counts.</summary>
internal sealed class PairDataset : IDataset<MaskedPairs>
{
    private const int Side = 8;

    public long Count => 40;

    public LoadThreading Threading => LoadThreading.Concurrent;

    public MaskedPairs Load(ReadOnlySpan<long> indices)
    {
        var count = indices.Length;
        var (clean, degraded) = (new float[count * Side * Side], new float[count * Side * Side]);
        var (mask, strengths) = (new float[count * Side * Side], new float[count]);
        for (var i = 0; i < clean.Length; i++)
        {
            var (sample, row, column) = (i / (Side * Side), i / Side % Side, i % Side);
            strengths[sample] = 0.1f * (indices[sample] % 5);
            clean[i] = column <= indices[sample] % Side ? 1.0f : -1.0f;
            degraded[i] = clean[i] * (1.0f - strengths[sample]);
            mask[i] = row < Side / 2 ? 1.0f : 0.0f;
        }

        long[] shape = [count, 1, Side, Side];
        using var counts = tensor(mask, shape);
        return new MaskedPairs(
            tensor(clean, shape), tensor(degraded, shape), counts.to(ScalarType.Bool), new StrengthCondition(tensor(strengths)));
    }
}
