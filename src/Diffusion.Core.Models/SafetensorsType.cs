using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// An element type of the safetensors format. TorchSharp lacks five of them: <c>U16</c>, <c>U32</c>, <c>U64</c>, <c>F8_E4M3</c> and
/// <c>F8_E5M2</c>. Tensors of these are read as the next type that holds every value, exactly, and are written as raw bytes
/// (<see cref="SafetensorsSource.OfBytes"/>).
/// </summary>
public sealed class SafetensorsType
{
    private SafetensorsType(string name, int size, ScalarType readAs, bool isNative = true)
        => (Name, Size, ReadAs, IsNative) = (name, size, readAs, isNative);

    /// <summary>64-bit unsigned integers, read as Int64; a value of 2^63 or more is refused.</summary>
    public static SafetensorsType U64 { get; } = new("U64", 8, ScalarType.Int64, isNative: false);

    /// <summary>32-bit unsigned integers, read as Int64.</summary>
    public static SafetensorsType U32 { get; } = new("U32", 4, ScalarType.Int64, isNative: false);

    /// <summary>16-bit unsigned integers, read as Int32.</summary>
    public static SafetensorsType U16 { get; } = new("U16", 2, ScalarType.Int32, isNative: false);

    /// <summary>Eight bits, four of exponent, three of mantissa, no infinities (Micikevicius et al. 2022); read as Float32.</summary>
    public static SafetensorsType F8E4M3 { get; } = new("F8_E4M3", 1, ScalarType.Float32, isNative: false);

    /// <summary>Eight bits, five of exponent, two of mantissa (Micikevicius et al. 2022); read as Float32.</summary>
    public static SafetensorsType F8E5M2 { get; } = new("F8_E5M2", 1, ScalarType.Float32, isNative: false);

    /// <summary>
    /// Every type, in the order in which the tensors of a file are laid out: wide types first, so that each tensor is aligned to its own
    /// element size.
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

    /// <summary>The size of one element, in bytes.</summary>
    public int Size { get; }

    /// <summary>The type of the tensors that are read from it.</summary>
    public ScalarType ReadAs { get; }

    /// <summary>True when a tensor holds the bytes of the file as they are.</summary>
    public bool IsNative { get; }

    /// <summary>Every name, for messages.</summary>
    internal static string Names { get; } = string.Join(", ", All.Select(type => type.Name));

    /// <summary>The place in <see cref="All"/>.</summary>
    internal int Rank => All.TakeWhile(type => type != this).Count();

    /// <summary>The type that holds the tensors of a type of TorchSharp as they are.</summary>
    /// <exception cref="ArgumentException">The format has no such type.</exception>
    public static SafetensorsType Of(ScalarType type)
        => All.FirstOrDefault(known => known.IsNative && known.ReadAs == type)
            ?? throw new ArgumentException($"The type must be one of {Names}, got {type}.", nameof(type));

    /// <summary>The type of a name, or null.</summary>
    public static SafetensorsType? Find(string? name) => All.FirstOrDefault(known => known.Name == name);

    /// <inheritdoc/>
    public override string ToString() => Name;
}
