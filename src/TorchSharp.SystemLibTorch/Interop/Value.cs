using static TorchSharp.torch;

namespace TorchSharp.Interop;

/// <summary>
/// An argument on its way to an operator. What it was made from travels along, so that nothing is finalised during the call.
/// </summary>
internal readonly struct Value
{
    private Value(Tag tag, long payload, object? owner = null, int count = 0)
        => (Tag, Payload, Owner, Count) = (tag, payload, owner, count);

    internal Tag Tag { get; }

    internal int Count { get; }

    internal long Payload { get; }

    /// <summary>The tensor, generator or managed list that the value stands for.</summary>
    internal object? Owner { get; }

    /// <summary>How many 8-byte places the elements take when they still lie in a managed list.</summary>
    internal int ManagedCount => Tag is Tag.IntList or Tag.DoubleList or Tag.TensorList && Owner is not null ? Count : 0;

    internal static Value None => default;

    public static implicit operator Value(Tensor? tensor)
        => tensor is null ? default : new(Tag.Tensor, tensor.Handle, tensor);

    public static implicit operator Value(Scalar? scalar) => scalar is null ? default : new(scalar.Tag, scalar.Bits);

    public static implicit operator Value(Generator? generator)
        => generator is null ? default : new(Tag.Generator, generator.Handle, generator);

    public static implicit operator Value(Device? device)
        => device is null ? default : new(Tag.Device, (long)device.type, null, device.index);

    public static implicit operator Value(ScalarType type) => new(Tag.Int, (long)type);

    public static implicit operator Value(ScalarType? type) => type is { } known ? known : default(Value);

    public static implicit operator Value(long number) => new(Tag.Int, number);

    public static implicit operator Value(long? number) => number is { } known ? known : default(Value);

    public static implicit operator Value(double number) => new(Tag.Double, BitConverter.DoubleToInt64Bits(number));

    public static implicit operator Value(double? number) => number is { } known ? known : default(Value);

    public static implicit operator Value(bool flag) => new(Tag.Bool, flag ? 1 : 0);

    public static implicit operator Value(long[]? numbers)
        => numbers is null ? default : new(Tag.IntList, 0, numbers, numbers.Length);

    public static implicit operator Value(double[]? numbers)
        => numbers is null ? default : new(Tag.DoubleList, 0, numbers, numbers.Length);

    public static implicit operator Value(Tensor?[] tensors) => new(Tag.TensorList, 0, tensors, tensors.Length);

    /// <summary>A string, as bytes that outlive the call.</summary>
    internal static unsafe Value Text(ReadOnlySpan<byte> literal)
    {
        fixed (byte* bytes = literal)
            return new Value(Tag.String, (long)bytes, null, literal.Length);
    }

    /// <summary>Integers that lie on the stack or are pinned for the time of the call.</summary>
    internal static unsafe Value Ints(long* numbers, int count) => new(Tag.IntList, (long)numbers, null, count);
}
