using TorchSharp;

namespace Diffusion.Core.Testing;

/// <summary>How far apart two results are, relative to the expected one.</summary>
public static class RelativeError
{
    /// <summary>The greatest |actual - expected| / |expected| of any pair; where zero is expected, the difference itself.</summary>
    public static double OfEach(ReadOnlySpan<double> actual, ReadOnlySpan<double> expected)
    {
        Assert.Equal(expected.Length, actual.Length);
        var worst = 0.0;
        for (var i = 0; i < expected.Length; i++)
            worst = Worse(worst, Math.Abs(actual[i] - expected[i]) / (expected[i] == 0.0 ? 1.0 : Math.Abs(expected[i])));
        return worst;
    }

    /// <summary>
    /// The greatest difference within a sample, relative to the greatest expected value of that sample: each sample has a time, and so a
    /// scale, of its own.
    /// </summary>
    /// <param name="actual">Broadcasts to the shape of <paramref name="expected"/>.</param>
    /// <param name="expected">[B, ...].</param>
    /// <param name="scale">The shape of <paramref name="expected"/>: takes its place as what the difference is relative to.</param>
    public static double OfSamples(torch.Tensor actual, torch.Tensor expected, torch.Tensor? scale = null)
    {
        using var scope = torch.NewDisposeScope();
        var samples = expected.shape[0];
        var reference = Rows(expected);
        var scales = scale is null ? reference : Rows(scale);
        var result = Rows(actual.expand(expected.shape));
        var size = reference.Length / (int)samples;
        var worst = 0.0;
        for (var sample = 0; sample < samples; sample++)
        {
            var (greatest, difference) = (0.0, 0.0);
            for (var i = sample * size; i < (sample + 1) * size; i++)
            {
                greatest = Math.Max(greatest, Math.Abs(scales[i]));
                difference = Worse(difference, Math.Abs(result[i] - reference[i]));
            }

            worst = Worse(worst, difference / (greatest == 0.0 ? 1.0 : greatest));
        }

        return worst;
    }

    // Math.Max would do, but says so less plainly: NaN is the worst of all.
    private static double Worse(double first, double second) => double.IsNaN(second) || second > first ? second : first;

    private static double[] Rows(torch.Tensor tensor) => tensor.to(torch.ScalarType.Float64).contiguous().reshape(-1).data<double>().ToArray();
}
