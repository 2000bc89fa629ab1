using System.Buffers;

namespace Diffusion.Core.Data;

/// <summary>Resizes images. The largest centre crop with the aspect ratio of the result is scaled.</summary>
/// <remarks>
/// A triangle filter is applied along rows, then along columns. It interpolates linearly if the image is enlarged. If the image is reduced,
/// it averages over all pixels that a pixel of the result covers, which prevents aliasing.
/// </remarks>
internal static class ImageScaling
{
    /// <summary>Converts an image to planes of one channel each, resizes them, and rounds the values to the nearest byte levels.</summary>
    /// <param name="image">The image.</param>
    /// <param name="channels">The number of channels of the result: 1 for grey, 3 for RGB.</param>
    /// <param name="background">The grey level behind pixels that are not opaque, or null if all pixels are opaque.</param>
    /// <param name="result">[channels * toHeight * toWidth] receives the result in [-1, 1]. All of it is written.</param>
    /// <param name="toHeight">The height of the result.</param>
    /// <param name="toWidth">The width of the result.</param>
    public static void Cover(PngImage image, int channels, byte? background, Span<float> result, int toHeight, int toWidth)
    {
        var scale = Math.Min((double)image.Height / toHeight, (double)image.Width / toWidth);
        var (columns, rows) = (Weights(image.Width, toWidth, scale), Weights(image.Height, toHeight, scale));
        var (left, right) = (columns[0].First, End(columns[^1]));
        var width = right - left;

        // One row at a time is converted and added to the rows of the result that it contributes to, so that a large image takes no more
        // memory than its bytes.
        var row = ArrayPool<float>.Shared.Rent(channels * width);
        try
        {
            result.Clear();
            var start = 0;
            for (var y = rows[0].First; y < End(rows[^1]); y++)
            {
                ImageBytes.Decode(image, (y * image.Width) + left, channels, background, row.AsSpan(0, channels * width));
                while (End(rows[start]) <= y)
                    start++;
                for (var channel = 0; channel < channels; channel++)
                {
                    for (var x = 0; x < toWidth; x++)
                        Add(Sum(row.AsSpan((channel * width) - left + columns[x].First), columns[x].Weights), channel, x, y, start, result);
                }
            }

            for (var i = 0; i < result.Length; i++)
                result[i] = ImageBytes.Decode(ImageBytes.Encode(result[i]));
        }
        finally
        {
            ArrayPool<float>.Shared.Return(row);
        }

        void Add(float value, int channel, int x, int y, int start, Span<float> result)
        {
            for (var to = start; to < toHeight && rows[to].First <= y; to++)
                result[(((channel * toHeight) + to) * toWidth) + x] += value * rows[to].Weights[y - rows[to].First];
        }
    }

    private static int End((int First, float[] Weights) of) => of.First + of.Weights.Length;

    private static float Sum(ReadOnlySpan<float> values, float[] weights)
    {
        var sum = 0f;
        for (var i = 0; i < weights.Length; i++)
            sum += values[i] * weights[i];
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
