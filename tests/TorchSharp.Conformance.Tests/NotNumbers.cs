using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace TorchSharp.Conformance.Tests;

/// <summary>Patterns of bits that are no numbers.</summary>
internal static class NotNumbers
{
    /// <summary>[17] float32: of both signs, with the low bits that arithmetic on exponents may take for something else.</summary>
    public static Tensor All()
    {
        uint[] bits =
        [
            0x7fc00000, 0xffc00000, 0x7fffffff, 0xffffffff, 0x7fc00001, 0xffc00001, 0x7fc000ff, 0xffc000ff, 0x7fc00100, 0xffc00100,
            0x7fc001ff, 0xffc001ff, 0x7fc00080, 0xffc00080, 0x7fc00081, 0x7fc00180, 0xffffff81,
        ];
        var result = zeros([bits.Length], ScalarType.Float32);
        MemoryMarshal.AsBytes(bits.AsSpan()).CopyTo(result.bytes);
        return result;
    }
}
