namespace Diffusion.Core.Data;

/// <summary>The checksum of the chunks of PNG files.</summary>
/// <remarks>Source: W3C, "Portable Network Graphics (PNG) Specification", third edition, section 5.5.</remarks>
internal static class PngCrc
{
    private static readonly uint[] Table = MakeTable();

    /// <summary>The checksum of a chunk: of its type and its data.</summary>
    public static uint Of(ReadOnlySpan<byte> type, ReadOnlySpan<byte> data) => ~Update(Update(uint.MaxValue, type), data);

    private static uint Update(uint crc, ReadOnlySpan<byte> data)
    {
        foreach (var value in data)
            crc = Table[(crc ^ value) & 0xFF] ^ (crc >> 8);
        return crc;
    }

    private static uint[] MakeTable()
    {
        var table = new uint[256];
        for (var i = 0u; i < table.Length; i++)
        {
            var value = i;
            for (var bit = 0; bit < 8; bit++)
                value = (value & 1) == 0 ? value >> 1 : 0xEDB88320u ^ (value >> 1);
            table[i] = value;
        }

        return table;
    }
}
