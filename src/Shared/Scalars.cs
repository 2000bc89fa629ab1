using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>
/// TorchSharp's operators with numbers, under capitalized names: <c>x.Mul(0.5)</c> is <c>x.mul(0.5)</c>, but keeps the number alive
/// until the call returns. Operators for which TorchSharp creates a number internally (<c>add</c> of two tensors, <c>square</c>,
/// <c>arange</c>) are included. See <see cref="Number"/>.
/// </summary>
[ExcludeFromCodeCoverage]
internal static class Scalars
{
    public static Tensor Add(this Tensor x, Tensor other) => x.add(other, Number.WholeOne);

    public static Tensor Add(this Tensor x, Tensor other, Number alpha)
    {
        using var held = alpha.Hold();
        return x.add(other, held.Scalar);
    }

    // Takes precedence because a number also converts to a tensor, which would not be disposed.
    [OverloadResolutionPriority(1)]
    public static Tensor Add(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.add(held.Scalar, Number.WholeOne);
    }

    public static Tensor Add_(this Tensor x, Tensor other) => x.add_(other, Number.WholeOne);

    public static Tensor Add_(this Tensor x, Tensor other, Number alpha)
    {
        using var held = alpha.Hold();
        return x.add_(other, held.Scalar);
    }

    [OverloadResolutionPriority(1)]
    public static Tensor Add_(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.add_(held.Scalar, Number.WholeOne);
    }

    public static Tensor Sub(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.sub(held.Scalar);
    }

    public static Tensor Sub_(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.sub_(held.Scalar);
    }

    public static Tensor Mul(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.mul(held.Scalar);
    }

    public static Tensor Mul_(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.mul_(held.Scalar);
    }

    public static Tensor Div(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.div(held.Scalar);
    }

    public static Tensor Div_(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.div_(held.Scalar);
    }

    public static Tensor Pow(this Tensor x, Number exponent)
    {
        using var held = exponent.Hold();
        return x.pow(held.Scalar);
    }

    public static Tensor Square(this Tensor x) => x.Pow(2);

    public static Tensor Addcmul(this Tensor x, Tensor first, Tensor second, Number value)
    {
        using var held = value.Hold();
        return x.addcmul(first, second, held.Scalar);
    }

    public static Tensor Addcmul_(this Tensor x, Tensor first, Tensor second, Number value)
    {
        using var held = value.Hold();
        return x.addcmul_(first, second, held.Scalar);
    }

    public static Tensor Addcdiv_(this Tensor x, Tensor first, Tensor second, Number value)
    {
        using var held = value.Hold();
        return x.addcdiv_(first, second, held.Scalar);
    }

    public static Tensor Clamp(this Tensor x, Number? min = null, Number? max = null)
    {
        using var low = min is { } least ? least.Hold() : default;
        using var high = max is { } most ? most.Hold() : default;
        return x.clamp(low.Scalar, high.Scalar);
    }

    public static Tensor Clamp_(this Tensor x, Number? min = null, Number? max = null)
    {
        using var low = min is { } least ? least.Hold() : default;
        using var high = max is { } most ? most.Hold() : default;
        return x.clamp_(low.Scalar, high.Scalar);
    }

    public static Tensor ClampMin(this Tensor x, Number min)
    {
        using var held = min.Hold();
        return x.clamp_min(held.Scalar);
    }

    public static Tensor ClampMax_(this Tensor x, Number max)
    {
        using var held = max.Hold();
        return x.clamp_max_(held.Scalar);
    }

    public static Tensor Fill_(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.fill_(held.Scalar);
    }

    public static Tensor MaskedFill(this Tensor x, Tensor mask, Number value)
    {
        using var held = value.Hold();
        return x.masked_fill(mask, held.Scalar);
    }

    public static Tensor MaskedFill_(this Tensor x, Tensor mask, Number value)
    {
        using var held = value.Hold();
        return x.masked_fill_(mask, held.Scalar);
    }

    public static Tensor Eq(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.eq(held.Scalar);
    }

    public static Tensor Ge(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.ge(held.Scalar);
    }

    public static Tensor Gt(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.gt(held.Scalar);
    }

    public static Tensor Le(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.le(held.Scalar);
    }

    public static Tensor Lt(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.lt(held.Scalar);
    }

    public static Tensor FullLike(this Tensor x, Number value)
    {
        using var held = value.Hold();
        return x.full_like(held.Scalar);
    }

    public static Tensor Full(ReadOnlySpan<long> size, Number value, ScalarType dtype, Device device)
    {
        using var held = value.Hold();
        return full(size, held.Scalar, dtype, device);
    }

    public static Tensor Arange(Number stop, ScalarType dtype, Device? device = null)
    {
        using var start = ((Number)0).Hold();
        using var end = stop.Hold();
        return arange(start.Scalar, end.Scalar, Number.WholeOne, dtype, device);
    }
}
