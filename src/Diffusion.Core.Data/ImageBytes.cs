namespace Diffusion.Core.Data;

/// <summary>Images as they are kept, one byte per value, and as networks see them, in [-1, 1].</summary>
internal static class ImageBytes
{
    private static readonly float[] Values = MakeValues();

    /// <inheritdoc cref="Decode(ReadOnlySpan{byte}, Span{float})"/>
    public static float Decode(byte value) => Values[value];

    /// <summary>0..255 to [-1, 1]: v / 127.5 - 1, so that 0 and 255 are exactly -1 and 1.</summary>
    public static void Decode(ReadOnlySpan<byte> bytes, Span<float> values)
    {
        for (var i = 0; i < bytes.Length; i++)
            values[i] = Values[bytes[i]];
    }

    /// <summary>[-1, 1] to the nearest of 0..255; beyond that range, to its end.</summary>
    public static byte Encode(float value) => (byte)Math.Round(Math.Clamp((value + 1.0) * 127.5, 0.0, 255.0));

    private static float[] MakeValues()
    {
        var values = new float[256];
        for (var i = 0; i < values.Length; i++)
            values[i] = (float)((i / 127.5) - 1.0);
        return values;
    }
}
