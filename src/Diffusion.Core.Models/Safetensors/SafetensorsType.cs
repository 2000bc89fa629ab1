using System.Buffers;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// An element type of the safetensors format. TorchSharp does not support five of these types: <c>U16</c>, <c>U32</c>, <c>U64</c>,
/// <c>F8_E4M3</c> and <c>F8_E5M2</c>. Their values are converted exactly to a wider type, or from <c>U64</c> to Int64, when they are read,
/// and they can be written as bytes (<see cref="SafetensorsSource.OfBytes"/>). Files can also contain unknown types, such as <c>F4</c>, of
/// which only the bytes can be read.
/// </summary>
public sealed class SafetensorsType
{
    private readonly ScalarType? _readAs;

    private SafetensorsType(string name, int size, ScalarType? readAs, bool isNative = true)
        => (Name, Size, _readAs, IsNative) = (name, size, readAs, isNative);

    /// <summary>64-bit unsigned integers, read as Int64. Reading a value of 2^63 or greater throws an exception.</summary>
    public static SafetensorsType U64 { get; } = new("U64", 8, ScalarType.Int64, isNative: false);

    /// <summary>32-bit unsigned integers, read as Int64.</summary>
    public static SafetensorsType U32 { get; } = new("U32", 4, ScalarType.Int64, isNative: false);

    /// <summary>16-bit unsigned integers, read as Int32.</summary>
    public static SafetensorsType U16 { get; } = new("U16", 2, ScalarType.Int32, isNative: false);

    /// <summary>
    /// 8-bit floating point numbers with four bits of exponent and three of mantissa, without infinities (Micikevicius et al. 2022), read
    /// as Float32.
    /// </summary>
    public static SafetensorsType F8E4M3 { get; } = new("F8_E4M3", 1, ScalarType.Float32, isNative: false);

    /// <summary>
    /// 8-bit floating point numbers with five bits of exponent and two of mantissa (Micikevicius et al. 2022), read as Float32.
    /// </summary>
    public static SafetensorsType F8E5M2 { get; } = new("F8_E5M2", 1, ScalarType.Float32, isNative: false);

    /// <summary>
    /// All known types, in the order in which tensors are written to a file: the largest element size first, so that each tensor is aligned
    /// to its element size.
    /// </summary>
    public static IReadOnlyList<SafetensorsType> All { get; } =
    [
        U64,
        new("I64", 8, ScalarType.Int64),
        new("F64", 8, ScalarType.Float64),
        new("F32", 4, ScalarType.Float32),
        U32,
        new("I32", 4, ScalarType.Int32),
        new("BF16", 2, ScalarType.BFloat16),
        new("F16", 2, ScalarType.Float16),
        U16,
        new("I16", 2, ScalarType.Int16),
        F8E4M3,
        F8E5M2,
        new("I8", 1, ScalarType.Int8),
        new("U8", 1, ScalarType.Byte),
        new("BOOL", 1, ScalarType.Bool),
    ];

    /// <summary>The name in files, such as <c>BF16</c>.</summary>
    public string Name { get; }

    /// <summary>The size of one element, in bytes. It is 0 for an unknown type.</summary>
    public int Size { get; }

    /// <summary>The type of the tensors that are read from data of this type.</summary>
    /// <exception cref="NotSupportedException">The type is unknown.</exception>
    public ScalarType ReadAs => _readAs
        ?? throw new NotSupportedException(
            Invariant($"Tensors of the type '{Name}' cannot be read, only their bytes; expected one of {Names}."));

    /// <summary>Whether the type is known, so that tensors can be read from data of this type.</summary>
    internal bool IsKnown => _readAs is not null;

    /// <summary>Whether TorchSharp supports the type, so that the bytes of the file are those of the tensor.</summary>
    public bool IsNative { get; }

    /// <summary>The names of all known types, for messages.</summary>
    internal static string Names { get; } = string.Join(", ", All.Select(type => type.Name));

    /// <summary>The index in <see cref="All"/>.</summary>
    internal int Rank => All.TakeWhile(type => type != this).Count();

    /// <summary>Returns the type in which tensors of a TorchSharp type are written.</summary>
    /// <exception cref="ArgumentException">The format does not support the type.</exception>
    public static SafetensorsType Of(ScalarType type)
        => All.FirstOrDefault(known => known.IsNative && known.ReadAs == type)
            ?? throw new ArgumentException(Invariant($"The type must be one of {Names}, got {type}."), nameof(type));

    /// <summary>Returns the known type with a name, or <see langword="null"/> if there is none.</summary>
    public static SafetensorsType? Find(string? name) => All.FirstOrDefault(known => known.Name == name);

    /// <summary>Creates an unknown type, for tensors of which only the bytes can be read.</summary>
    internal static SafetensorsType Unknown(string name) => new(name, 0, readAs: null, isNative: false);

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>Reads the elements of tensors from the bytes of a file.</summary>
internal static class SafetensorsElements
{
    private const int BufferLength = 1 << 16;

    private static readonly float[] _e4m3 = [.. Enumerable.Range(0, 256).Select(bits => E4M3((byte)bits))];
    private static readonly float[] _e5m2 =
        [.. Enumerable.Range(0, 256).Select(bits => (float)BitConverter.UInt16BitsToHalf((ushort)(bits << 8)))];

    /// <summary>Reads elements until the target is full.</summary>
    /// <param name="stream">The bytes of the elements in the file.</param>
    /// <param name="type">The type of the elements in the file.</param>
    /// <param name="target">The memory to fill with elements of the type <see cref="SafetensorsType.ReadAs"/>.</param>
    /// <returns>
    /// A description of the first invalid element and its index in the target, or <see langword="null"/> if all elements are valid.
    /// </returns>
    public static (string What, long Index)? Read(Stream stream, SafetensorsType type, Span<byte> target)
    {
        if (!type.IsNative)
            return Widen(stream, type, target);
        stream.ReadExactly(target);
        return type.ReadAs == TorchSharp.torch.ScalarType.Bool && target.IndexOfAnyExceptInRange((byte)0, (byte)1) is var bad and >= 0
            ? ($"must contain only 0 and 1, got {target[bad]}", bad)
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
            ? ($"has {(ulong)values[bad]}, which is outside the range of Int64,", bad)
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
