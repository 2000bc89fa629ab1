using System.Buffers;

namespace Diffusion.Core.Data;

/// <summary>Resizes images. The largest centre crop with the aspect ratio of the result is scaled.</summary>
/// <remarks>
/// A triangle filter is applied along rows, then along columns. It interpolates linearly if the image is enlarged. If the image is reduced,
/// it averages over all pixels that a pixel of the result covers, which prevents aliasing.
/// </remarks>
internal static class ImageScaling
{
    /// <summary>Resizes planes, and rounds the values to the nearest byte levels.</summary>
    /// <param name="planes">[channels * height * width] the planes in [-1, 1].</param>
    /// <param name="channels">The number of planes.</param>
    /// <param name="height">The height of the planes.</param>
    /// <param name="width">The width of the planes.</param>
    /// <param name="result">[channels * toHeight * toWidth] receives the result. All of it is written.</param>
    /// <param name="toHeight">The height of the result.</param>
    /// <param name="toWidth">The width of the result.</param>
    public static void Cover(
        ReadOnlySpan<float> planes, int channels, int height, int width, Span<float> result, int toHeight, int toWidth)
    {
        var scale = Math.Min((double)height / toHeight, (double)width / toWidth);
        var (columns, rows) = (Weights(width, toWidth, scale), Weights(height, toHeight, scale));
        var narrowed = ArrayPool<float>.Shared.Rent(channels * height * toWidth);
        try
        {
            for (var y = 0; y < channels * height; y++)
            {
                for (var x = 0; x < toWidth; x++)
                    narrowed[(y * toWidth) + x] = Sum(planes[(y * width)..], 1, columns[x]);
            }

            for (var channel = 0; channel < channels; channel++)
            {
                var plane = narrowed.AsSpan(channel * height * toWidth, height * toWidth);
                for (var y = 0; y < toHeight; y++)
                {
                    for (var x = 0; x < toWidth; x++)
                    {
                        var value = Sum(plane[x..], toWidth, rows[y]);
                        result[(((channel * toHeight) + y) * toWidth) + x] = ImageBytes.Decode(ImageBytes.Encode(value));
                    }
                }
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(narrowed);
        }
    }

    private static float Sum(ReadOnlySpan<float> values, int stride, (int First, float[] Weights) of)
    {
        var sum = 0f;
        for (var i = 0; i < of.Weights.Length; i++)
            sum += values[(of.First + i) * stride] * of.Weights[i];
        return sum;
    }

    /// <summary>
    /// Computes, for each position of the result, the first position that contributes to it, and the weights from there on, which sum to 1.
    /// </summary>
    private static (int First, float[] Weights)[] Weights(int length, int toLength, double scale)
    {
        var start = (length - (toLength * scale)) / 2.0;
        var reach = Math.Max(scale, 1.0);
        var result = new (int, float[])[toLength];
        for (var i = 0; i < toLength; i++)
        {
            var centre = start + ((i + 0.5) * scale);
            var first = Math.Max((int)(centre - reach + 0.5), 0);
            var end = Math.Min((int)(centre + reach + 0.5), length);
            var weights = new double[end - first];
            for (var k = 0; k < weights.Length; k++)
                weights[k] = Math.Max(1.0 - Math.Abs((first + k + 0.5 - centre) / reach), 0.0);
            var sum = weights.Sum();
            result[i] = (first, [.. weights.Select(weight => (float)(weight / sum))]);
        }

        return result;
    }
}
