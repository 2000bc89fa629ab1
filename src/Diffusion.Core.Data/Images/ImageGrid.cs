using static TorchSharp.torch;

namespace Diffusion.Core.Data;

/// <summary>Saves batches of images as one image.</summary>
public static class ImageGrid
{
    /// <summary>
    /// Writes images to a PNG file as a grid, from left to right and top to bottom. The file is written completely or not at all, and its
    /// folder is created if it does not exist.
    /// </summary>
    /// <param name="images">
    /// [B, C, H, W] the images, floating point, on any device, with C = 1 (grey) or 3 (RGB), -1 for black and 1 for white. Values outside
    /// [-1, 1] are clipped.
    /// </param>
    /// <param name="path">The path of the file. An existing file is replaced.</param>
    /// <param name="columns">
    /// The number of images in a row. The default is <see langword="null"/>: the grid is as close to square as possible.
    /// </param>
    /// <param name="padding">The number of pixels around and between the images, before enlargement. The default is 2.</param>
    /// <param name="scale">The factor by which images are enlarged: each pixel becomes a square of this width. The default is 1.</param>
    /// <param name="background">The grey level, 0 to 255, of the padding and of empty cells. The default is 0.</param>
    /// <exception cref="ArgumentException">
    /// The shape or type is wrong, a value is not finite, an option is out of range, or the grid is too large.
    /// </exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SavePng(Tensor images, string path, int? columns = null, int padding = 2, int scale = 1, byte background = 0)
    {
        Guard.Shape(images, [-1, -1, -1, -1]);
        Guard.Floating(images);
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        var shape = images.shape;
        if (shape[1] is not (1 or 3) || shape[0] * shape[2] * shape[3] == 0)
            throw new ArgumentException(
                $"images must be [B, 1, H, W] or [B, 3, H, W] with no size of 0, got {Guard.Format(shape)}.", nameof(images));
        Guard.InRange(padding, 0, 1024);
        Guard.InRange(scale, 1, 1024);

        var (count, channels, height, width) = (shape[0], (int)shape[1], shape[2], shape[3]);
        var across = Math.Min(Guard.InRange(columns ?? (long)Math.Ceiling(Math.Sqrt(count)), 1, int.MaxValue, nameof(columns)), count);
        var down = (count + across - 1) / across;
        var totalWidth = (across * (width + padding)) + padding;
        var totalHeight = (down * (height + padding)) + padding;
        if ((Int128)totalWidth * totalHeight * channels * scale * scale > Array.MaxLength)
            throw new ArgumentException(
                Invariant($"A grid of {totalWidth} x {totalHeight} pixels enlarged {scale} times is too large for one image."),
                nameof(images));

        var pixels = new byte[totalWidth * totalHeight * channels];
        Array.Fill(pixels, background);
        Draw(Values(images), pixels, (int)totalWidth, (int)across, padding, channels, (int)height, (int)width);
        PngWriter.Save(
            path, Enlarge(pixels, (int)totalWidth, channels, scale), (int)totalWidth * scale, (int)totalHeight * scale, channels);
    }

    private static float[] Values(Tensor images)
    {
        using var detached = images.detach();
        using var floats = detached.to(ScalarType.Float32);
        using var host = floats.cpu();
        using var packed = host.contiguous();
        return packed.data<float>().ToArray();
    }

    private static void Draw(float[] images, byte[] pixels, int stride, int columns, int padding, int channels, int height, int width)
    {
        var plane = height * width;
        for (var i = 0; i < images.Length; i++)
        {
            if (!float.IsFinite(images[i]))
                throw new ArgumentException(
                    Invariant($"Every value must be finite, got {images[i]} in image {i / (plane * channels)}."), nameof(images));
            var (image, channel) = (i / (plane * channels), i / plane % channels);
            var y = padding + (image / columns * (height + padding)) + (i % plane / width);
            var x = padding + (image % columns * (width + padding)) + (i % width);
            pixels[(((y * stride) + x) * channels) + channel] = ImageBytes.Encode(images[i]);
        }
    }

    private static byte[] Enlarge(byte[] pixels, int width, int channels, int scale)
    {
        if (scale == 1)
            return pixels;
        var result = new byte[pixels.Length * scale * scale];
        var stride = width * channels;
        for (var i = 0; i < result.Length; i++)
        {
            var (y, x) = (i / (stride * scale), i % (stride * scale));
            result[i] = pixels[(y / scale * stride) + (x / (channels * scale) * channels) + (x % channels)];
        }

        return result;
    }
}
