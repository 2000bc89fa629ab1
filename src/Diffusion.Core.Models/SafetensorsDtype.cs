using System.Diagnostics.CodeAnalysis;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The element types of safetensors files, as TorchSharp names them.</summary>
internal static class SafetensorsDtype
{
    /// <summary>In the order in which tensors are laid out: wide types first, so that each tensor is aligned to its own element size.</summary>
    private static readonly (string Name, ScalarType Type, int Size)[] Known =
    [
        ("I64", ScalarType.Int64, 8),
        ("F64", ScalarType.Float64, 8),
        ("F32", ScalarType.Float32, 4),
        ("I32", ScalarType.Int32, 4),
        ("BF16", ScalarType.BFloat16, 2),
        ("F16", ScalarType.Float16, 2),
        ("I16", ScalarType.Int16, 2),
        ("I8", ScalarType.Int8, 1),
        ("U8", ScalarType.Byte, 1),
        ("BOOL", ScalarType.Bool, 1),
    ];

    /// <summary>Every name, for messages.</summary>
    public static string Names { get; } = string.Join(", ", Known.Select(known => known.Name));

    /// <summary>The place of a type in the layout order, or -1 for a type that the format does not have.</summary>
    public static int Rank(ScalarType type) => Array.FindIndex(Known, known => known.Type == type);

    /// <summary>The name of a type of known rank.</summary>
    public static string NameOf(ScalarType type) => Known[Rank(type)].Name;

    /// <summary>The size of one element of a type of known rank, in bytes.</summary>
    public static int SizeOf(ScalarType type) => Known[Rank(type)].Size;

    /// <summary>The type of a name.</summary>
    public static bool TryParse([NotNullWhen(true)] string? name, out ScalarType type)
    {
        var index = Array.FindIndex(Known, known => known.Name == name);
        type = index < 0 ? default : Known[index].Type;
        return index >= 0;
    }
}
