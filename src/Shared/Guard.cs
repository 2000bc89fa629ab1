using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// Preconditions that are checked in managed code before native calls, because a shape error in native code can end the process.
/// </summary>
[ExcludeFromCodeCoverage]
internal static class Guard
{
    /// <summary>Returns a value in [<paramref name="min"/>, <paramref name="max"/>], and throws an exception for other values.</summary>
    public static T InRange<T>(T value, T min, T max, [CallerArgumentExpression(nameof(value))] string name = "")
        where T : INumber<T>
        => value >= min && value <= max
            ? value
            : throw new ArgumentOutOfRangeException(name, value, Invariant($"{name} must lie in [{min}, {max}], got {value}."));

    /// <summary>Returns a value that is finite and greater than zero, and throws an exception for other values.</summary>
    public static T Positive<T>(T value, [CallerArgumentExpression(nameof(value))] string name = "")
        where T : INumber<T>
        => value > T.Zero && T.IsFinite(value)
            ? value
            : throw new ArgumentOutOfRangeException(name, value, Invariant($"{name} must be finite and greater than 0, got {value}."));

    /// <summary>The greatest number that multiplies a tensor: the product of two of them is still a number in float32.</summary>
    public const double MaxFactor = 1e18;

    /// <summary>The value, when it is in [0, <see cref="MaxFactor"/>]: a number by which tensors are multiplied.</summary>
    public static double Factor(double value, [CallerArgumentExpression(nameof(value))] string name = "")
        => InRange(value, 0.0, MaxFactor, name);

    /// <summary>The value, when it is in (0, <see cref="MaxFactor"/>]: a number by which tensors are multiplied or divided.</summary>
    public static double PositiveFactor(double value, [CallerArgumentExpression(nameof(value))] string name = "")
        => value > 0.0 && value <= MaxFactor
            ? value
            : throw new ArgumentOutOfRangeException(name, value, Invariant($"{name} must lie in (0, {MaxFactor}], got {value}."));

    /// <summary>Returns a value that is not <see langword="null"/>, and throws an exception for <see langword="null"/>.</summary>
    public static T NotNull<T>([NotNull] T? value, [CallerArgumentExpression(nameof(value))] string name = "")
        where T : class
        => value ?? throw new ArgumentNullException(name);

    /// <summary>Requires that a tensor has the given shape; -1 stands for any size.</summary>
    public static void Shape(Tensor tensor, ReadOnlySpan<long> expected, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        var actual = tensor.shape;
        var matches = actual.Length == expected.Length;
        for (var i = 0; matches && i < actual.Length; i++)
            matches = expected[i] < 0 || expected[i] == actual[i];
        if (!matches)
            throw new ArgumentException(Invariant($"{name} must have shape {Format(expected)}, got {Format(actual)}."), name);
    }

    /// <summary>Requires that two tensors have the same shape.</summary>
    public static void SameShape(
        Tensor first,
        Tensor second,
        [CallerArgumentExpression(nameof(first))] string firstName = "",
        [CallerArgumentExpression(nameof(second))] string secondName = "")
    {
        ArgumentNullException.ThrowIfNull(first, firstName);
        ArgumentNullException.ThrowIfNull(second, secondName);
        if (!first.shape.AsSpan().SequenceEqual(second.shape))
            throw new ArgumentException(
                Invariant($"{secondName} must have the shape of {firstName}, {Format(first.shape)}, got ")
                + Invariant($"{Format(second.shape)}."), secondName);
    }

    /// <summary>Requires that a tensor broadcasts to the given shape.</summary>
    public static void Broadcasts(Tensor tensor, ReadOnlySpan<long> target, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        var actual = tensor.shape;
        var matches = actual.Length <= target.Length;
        for (var i = 1; matches && i <= actual.Length; i++)
            matches = actual[^i] == 1 || actual[^i] == target[^i];
        if (!matches)
            throw new ArgumentException(Invariant($"{name} must broadcast to shape {Format(target)}, got {Format(actual)}."), name);
    }

    /// <summary>Requires that two tensors have the same element type and device.</summary>
    public static void SameType(
        Tensor first,
        Tensor second,
        [CallerArgumentExpression(nameof(first))] string firstName = "",
        [CallerArgumentExpression(nameof(second))] string secondName = "")
    {
        ArgumentNullException.ThrowIfNull(first, firstName);
        ArgumentNullException.ThrowIfNull(second, secondName);
        var sameDevice = first.device_type == second.device_type
            && (first.device_type == TorchSharp.DeviceType.CPU || first.device_index == second.device_index);
        if (first.dtype != second.dtype || !sameDevice)
            throw new ArgumentException(
                $"{secondName} must be {first.dtype} on {first.device}, like {firstName}, got {second.dtype} on "
                + $"{second.device}.", secondName);
    }

    /// <summary>Requires that a tensor has a floating point type.</summary>
    public static void Floating(Tensor tensor, [CallerArgumentExpression(nameof(tensor))] string name = "")
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        if (!tensor.is_floating_point())
            throw new ArgumentException($"{name} must be a floating point tensor, got {tensor.dtype}.", name);
    }

    /// <summary>Returns a shape as text for messages: <c>[16, 3, 32, 32]</c>, with <c>*</c> for any size.</summary>
    public static string Format(ReadOnlySpan<long> shape)
    {
        var parts = new string[shape.Length];
        for (var i = 0; i < shape.Length; i++)
            parts[i] = shape[i] < 0 ? "*" : shape[i].ToString(System.Globalization.CultureInfo.InvariantCulture);
        return $"[{string.Join(", ", parts)}]";
    }
}
