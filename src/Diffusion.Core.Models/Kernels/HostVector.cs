using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Access to the elements of float32 tensors on the CPU, and elementary functions of vectors.</summary>
internal static class HostVector
{
    private const float SmallestExponent = -126;

    /// <summary>Returns whether kernels on this processor support tensors of this type and device.</summary>
    public static bool IsFast(Tensor x)
        => x.device_type == DeviceType.CPU && x.dtype == ScalarType.Float32 && Vector.IsHardwareAccelerated;

    /// <summary>Returns whether a kernel supports this tensor: <see cref="IsFast"/>, not empty, and smaller than 2 GB.</summary>
    public static bool Takes(Tensor x) => IsFast(x) && x.numel() is > 0 and < int.MaxValue / sizeof(float);

    /// <summary>Returns the elements of a contiguous tensor that <see cref="Takes"/> accepts.</summary>
    public static Span<float> Floats(Tensor x) => MemoryMarshal.Cast<byte, float>(x.bytes);

    /// <summary>
    /// Computes 2^x with a relative error of 1e-7 for x from -126 to 127. For x below -126 the result is 2^-126. NaN remains NaN.
    /// </summary>
    /// <remarks>
    /// x is split into an integer n and a fraction f with |f| of at most 1/2. 2^n is computed by the exponent bits, and 2^f - 1 as f times
    /// a polynomial through the Chebyshev nodes, whose error is 5e-9.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Exp2(Vector<float> x)
    {
        // x is the second argument, because the maximum instruction of the processor returns the second argument if one is NaN.
        x = Vector.MaxNative(new Vector<float>(SmallestExponent), x);
        var whole = Vector.Round(x);
        var f = x - whole;
        var p = Vector.FusedMultiplyAdd(new Vector<float>(1.545316294e-4f), f, new Vector<float>(1.339086336e-3f));
        p = Vector.FusedMultiplyAdd(p, f, new Vector<float>(9.618082557e-3f));
        p = Vector.FusedMultiplyAdd(p, f, new Vector<float>(5.550357114e-2f));
        p = Vector.FusedMultiplyAdd(p, f, new Vector<float>(2.402265076e-1f));
        p = Vector.FusedMultiplyAdd(p, f, new Vector<float>(6.931471880e-1f));
        p = Vector.FusedMultiplyAdd(p, f, Vector<float>.One);
        return Vector.AsVectorSingle(Vector.AsVectorInt32(p) + (Vector.ConvertToInt32Native(whole) << 23));
    }

    /// <summary>Computes 1 / (1 + e^-x) with a relative error of 1.2e-6 for |x| of at most 20. NaN remains NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector<float> Sigmoid(Vector<float> x)
    {
        var exponent = Vector.MinNative(new Vector<float>(-SmallestExponent), x * new Vector<float>(-1.442695041f));
        return Vector<float>.One / (Vector<float>.One + Exp2(exponent));
    }
}
