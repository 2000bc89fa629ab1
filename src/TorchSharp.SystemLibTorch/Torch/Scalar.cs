using TorchSharp.Interop;

namespace TorchSharp;

/// <summary>A number as an operand.</summary>
public sealed class Scalar : IDisposable
{
    private Scalar(Tag tag, long bits) => (Tag, Bits) = (tag, bits);

    internal Tag Tag { get; }

    internal long Bits { get; }

    public static implicit operator Scalar(int value) => new(Tag.Int, value);

    public static implicit operator Scalar(long value) => new(Tag.Int, value);

    public static implicit operator Scalar(float value) => (double)value;

    public static implicit operator Scalar(double value)
        => new(Tag.Double, BitConverter.DoubleToInt64Bits(value));

    public void Dispose() => GC.SuppressFinalize(this);
}
