using TorchSharp.Interop;
using static TorchSharp.torch;

namespace TorchSharp;

/// <summary>A number with its element type, as an operand.</summary>
public sealed class Scalar : IDisposable
{
    private Scalar(Tag tag, long bits, ScalarType type) => (Tag, Bits, Type) = (tag, bits, type);

    public ScalarType Type { get; }

    internal Tag Tag { get; }

    internal long Bits { get; }

    public static implicit operator Scalar(byte value) => new(Tag.Int, value, ScalarType.Int64);

    public static implicit operator Scalar(short value) => new(Tag.Int, value, ScalarType.Int64);

    public static implicit operator Scalar(int value) => new(Tag.Int, value, ScalarType.Int64);

    public static implicit operator Scalar(long value) => new(Tag.Int, value, ScalarType.Int64);

    public static implicit operator Scalar(float value) => (double)value;

    public static implicit operator Scalar(double value)
        => new(Tag.Double, BitConverter.DoubleToInt64Bits(value), ScalarType.Float64);

    public static implicit operator Scalar(bool value) => new(Tag.Bool, value ? 1 : 0, ScalarType.Bool);

    public void Dispose() => GC.SuppressFinalize(this);
}
