namespace Diffusion.Core.Data;

/// <summary>Converts images between bytes, the storage format, and values in [-1, 1], the format of networks.</summary>
internal static class ImageBytes
{
    private static readonly float[] Values = MakeValues();

    /// <inheritdoc cref="Decode(ReadOnlySpan{byte}, Span{float})"/>
    public static float Decode(byte value) => Values[value];

    /// <summary>Converts 0..255 to [-1, 1] by v / 127.5 - 1, so that 0 and 255 become exactly -1 and 1.</summary>
    public static void Decode(ReadOnlySpan<byte> bytes, Span<float> values)
    {
        for (var i = 0; i < bytes.Length; i++)
            values[i] = Values[bytes[i]];
    }

    /// <summary>Checks that an image can be converted.</summary>
    /// <param name="image">The image.</param>
    /// <param name="background">The grey level behind pixels that are not opaque, or null if all pixels must be opaque.</param>
    /// <exception cref="InvalidDataException">A pixel is not opaque, and there is no background.</exception>
    public static void RequireOpaque(PngImage image, byte? background)
    {
        var pixels = image.Pixels.Span;
        for (var i = image.Channels - 1; image.HasAlpha && background is null && i < pixels.Length; i += image.Channels)
        {
            if (pixels[i] != byte.MaxValue)
                throw new InvalidDataException("must be opaque because no background is set, but has transparent pixels.");
        }
    }

    /// <summary>Converts consecutive pixels of an image to planes of one channel each.</summary>
    /// <param name="image">The image.</param>
    /// <param name="first">The index of the first pixel.</param>
    /// <param name="channels">The number of channels of the result: 1 for grey, 3 for RGB.</param>
    /// <param name="background">The grey level behind pixels that are not opaque, or null if all pixels are opaque.</param>
    /// <param name="planes">[channels * count] receives the values in [-1, 1].</param>
    public static void Decode(PngImage image, int first, int channels, byte? background, Span<float> planes)
    {
        var pixels = image.Pixels.Span;
        var (area, colours) = (planes.Length / channels, image.HasAlpha ? image.Channels - 1 : image.Channels);
        for (var i = 0; i < area; i++)
        {
            var pixel = pixels.Slice((first + i) * image.Channels, image.Channels);
            var alpha = image.HasAlpha ? pixel[^1] : byte.MaxValue;
            byte Over(byte value)
                => alpha == byte.MaxValue ? value : (byte)(((value * alpha) + ((background ?? 0) * (255 - alpha)) + 127) / 255);
            var (red, green, blue) = (Over(pixel[0]), Over(pixel[colours / 2]), Over(pixel[colours - 1]));
            if (channels == 1)
            {
                planes[i] = Values[((299 * red) + (587 * green) + (114 * blue) + 500) / 1000];
                continue;
            }

            (planes[i], planes[area + i], planes[(2 * area) + i]) = (Values[red], Values[green], Values[blue]);
        }
    }

    /// <summary>Converts a value in [-1, 1] to the nearest of 0..255. Values outside [-1, 1] are clipped.</summary>
    public static byte Encode(float value) => (byte)Math.Round(Math.Clamp((value + 1.0) * 127.5, 0.0, 255.0));

    private static float[] MakeValues()
    {
        var values = new float[256];
        for (var i = 0; i < values.Length; i++)
            values[i] = (float)((i / 127.5) - 1.0);
        return values;
    }
}
