using System.Buffers;
using System.Runtime.InteropServices;

namespace Diffusion.Core.Models;

/// <summary>Fills the memory of tensors from the bytes of a file.</summary>
internal static class SafetensorsElements
{
    private const int BufferLength = 1 << 16;

    private static readonly float[] _e4m3 = [.. Enumerable.Range(0, 256).Select(bits => E4M3((byte)bits))];
    private static readonly float[] _e5m2 =
        [.. Enumerable.Range(0, 256).Select(bits => (float)BitConverter.UInt16BitsToHalf((ushort)(bits << 8)))];

    /// <summary>Reads as many elements as the target has room for.</summary>
    /// <param name="stream">The bytes of the file.</param>
    /// <param name="type">What they are.</param>
    /// <param name="target">The memory of elements of <see cref="SafetensorsType.ReadAs"/>.</param>
    /// <returns>What is wrong with an element, and its index in the target; null when nothing is.</returns>
    public static (string What, long Index)? Read(Stream stream, SafetensorsType type, Span<byte> target)
    {
        if (!type.IsNative)
            return Widen(stream, type, target);
        stream.ReadExactly(target);
        return type.ReadAs == TorchSharp.torch.ScalarType.Bool && target.IndexOfAnyExceptInRange((byte)0, (byte)1) is var bad and >= 0
            ? ($"must hold 0 and 1 only, got {target[bad]}", bad)
            : null;
    }

    private static (string What, long Index)? Widen(Stream stream, SafetensorsType type, Span<byte> target)
    {
        if (type == SafetensorsType.F8E4M3)
            return Widen<byte, float>(stream, target, bits => _e4m3[bits]);
        if (type == SafetensorsType.F8E5M2)
            return Widen<byte, float>(stream, target, bits => _e5m2[bits]);
        if (type == SafetensorsType.U16)
            return Widen<ushort, int>(stream, target, value => value);
        if (type == SafetensorsType.U32)
            return Widen<uint, long>(stream, target, value => value);
        Widen<ulong, long>(stream, target, value => (long)value);
        var values = MemoryMarshal.Cast<byte, long>(target);
        return values.IndexOfAnyExceptInRange(0L, long.MaxValue) is var bad and >= 0
            ? ($"has {(ulong)values[bad]}, which no tensor holds; read its bytes", bad)
            : null;
    }

    private static (string What, long Index)? Widen<TFile, TTensor>(Stream stream, Span<byte> target, Func<TFile, TTensor> convert)
        where TFile : unmanaged
        where TTensor : unmanaged
    {
        var results = MemoryMarshal.Cast<byte, TTensor>(target);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferLength);
        try
        {
            var values = MemoryMarshal.Cast<byte, TFile>(buffer.AsSpan(0, BufferLength));
            while (!results.IsEmpty)
            {
                var piece = values[..Math.Min(values.Length, results.Length)];
                stream.ReadExactly(MemoryMarshal.AsBytes(piece));
                for (var i = 0; i < piece.Length; i++)
                    results[i] = convert(piece[i]);
                results = results[piece.Length..];
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        return null;
    }

    private static float E4M3(byte bits)
    {
        var (exponent, mantissa) = ((bits >> 3) & 15, bits & 7);
        var size = exponent == 0 ? MathF.ScaleB(mantissa, -9)
            : (exponent, mantissa) == (15, 7) ? float.NaN
            : MathF.ScaleB(8 + mantissa, exponent - 10);
        return bits < 128 ? size : -size;
    }
}
