using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Diffusion.Core.Models;

/// <summary>Computes products of small float32 matrices that fit in the cache.</summary>
internal static class HostProduct
{
    /// <summary>The number of rows of a product must be a multiple of this number.</summary>
    public const int RowStep = 8;

    /// <summary>
    /// Computes C = A B or C += A B, where C [rows, columns] and B [depth, columns] are in row-major order and A [rows, depth] is in any
    /// layout. The number of rows must be a multiple of <see cref="RowStep"/>, and the number of columns a multiple of the vector size.
    /// </summary>
    public static void Multiply(
        Span<float> c, int rowOfC, Span<float> a, int rowOfA, int depthOfA, Span<float> b, int rowOfB, int rows, int depth, int columns, bool adds)
    {
        // The loops below have no bounds checks, so the bounds are checked here.
        _ = c[((rows - 1) * rowOfC) + columns - 1];
        _ = a[((rows - 1) * rowOfA) + ((depth - 1) * depthOfA)];
        _ = b[((depth - 1) * rowOfB) + columns - 1];
        ref var left = ref MemoryMarshal.GetReference(a);
        var vector = Vector<float>.Count;
        var pairs = columns / (2 * vector) * (2 * vector);
        for (var column = 0; column < pairs; column += 2 * vector)
            FourByTwo(ref c[column], rowOfC, ref left, rowOfA, depthOfA, ref b[column], rowOfB, rows, depth, adds);
        if (pairs < columns)
            EightByOne(ref c[pairs], rowOfC, ref left, rowOfA, depthOfA, ref b[pairs], rowOfB, rows, depth, adds);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourByTwo(
        ref float c, int rowOfC, ref float a, int rowOfA, int depthOfA, ref float b, int rowOfB, int rows, int depth, bool adds)
    {
        const int step = 4;
        var (v, l) = ((nuint)Vector<float>.Count, (nuint)rowOfC);
        for (var row = 0; row < rows; row += step)
        {
            Vector<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
            if (adds)
            {
                (c00, c01) = (Vector.LoadUnsafe(ref c), Vector.LoadUnsafe(ref c, v));
                (c10, c11) = (Vector.LoadUnsafe(ref c, l), Vector.LoadUnsafe(ref c, l + v));
                (c20, c21) = (Vector.LoadUnsafe(ref c, 2 * l), Vector.LoadUnsafe(ref c, (2 * l) + v));
                (c30, c31) = (Vector.LoadUnsafe(ref c, 3 * l), Vector.LoadUnsafe(ref c, (3 * l) + v));
            }

            ref var a1 = ref Unsafe.Add(ref a, rowOfA);
            ref var a2 = ref Unsafe.Add(ref a, 2 * rowOfA);
            ref var a3 = ref Unsafe.Add(ref a, 3 * rowOfA);
            ref var next = ref b;
            for (nint k = 0, end = (nint)depth * depthOfA; k < end; k += depthOfA)
            {
                var (b0, b1) = (Vector.LoadUnsafe(ref next), Vector.LoadUnsafe(ref next, v));
                var x = new Vector<float>(Unsafe.Add(ref a, k));
                c00 = Vector.FusedMultiplyAdd(x, b0, c00);
                c01 = Vector.FusedMultiplyAdd(x, b1, c01);
                x = new Vector<float>(Unsafe.Add(ref a1, k));
                c10 = Vector.FusedMultiplyAdd(x, b0, c10);
                c11 = Vector.FusedMultiplyAdd(x, b1, c11);
                x = new Vector<float>(Unsafe.Add(ref a2, k));
                c20 = Vector.FusedMultiplyAdd(x, b0, c20);
                c21 = Vector.FusedMultiplyAdd(x, b1, c21);
                x = new Vector<float>(Unsafe.Add(ref a3, k));
                c30 = Vector.FusedMultiplyAdd(x, b0, c30);
                c31 = Vector.FusedMultiplyAdd(x, b1, c31);
                next = ref Unsafe.Add(ref next, rowOfB);
            }

            c00.StoreUnsafe(ref c);
            c01.StoreUnsafe(ref c, v);
            c10.StoreUnsafe(ref c, l);
            c11.StoreUnsafe(ref c, l + v);
            c20.StoreUnsafe(ref c, 2 * l);
            c21.StoreUnsafe(ref c, (2 * l) + v);
            c30.StoreUnsafe(ref c, 3 * l);
            c31.StoreUnsafe(ref c, (3 * l) + v);
            a = ref Unsafe.Add(ref a, step * rowOfA);
            c = ref Unsafe.Add(ref c, step * rowOfC);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void EightByOne(
        ref float c, int rowOfC, ref float a, int rowOfA, int depthOfA, ref float b, int rowOfB, int rows, int depth, bool adds)
    {
        var l = (nuint)rowOfC;
        for (var row = 0; row < rows; row += RowStep)
        {
            Vector<float> c0 = default, c1 = default, c2 = default, c3 = default, c4 = default, c5 = default, c6 = default, c7 = default;
            if (adds)
            {
                (c0, c1) = (Vector.LoadUnsafe(ref c), Vector.LoadUnsafe(ref c, l));
                (c2, c3) = (Vector.LoadUnsafe(ref c, 2 * l), Vector.LoadUnsafe(ref c, 3 * l));
                (c4, c5) = (Vector.LoadUnsafe(ref c, 4 * l), Vector.LoadUnsafe(ref c, 5 * l));
                (c6, c7) = (Vector.LoadUnsafe(ref c, 6 * l), Vector.LoadUnsafe(ref c, 7 * l));
            }

            ref var a1 = ref Unsafe.Add(ref a, rowOfA);
            ref var a2 = ref Unsafe.Add(ref a, 2 * rowOfA);
            ref var a3 = ref Unsafe.Add(ref a, 3 * rowOfA);
            ref var a4 = ref Unsafe.Add(ref a, 4 * rowOfA);
            ref var a5 = ref Unsafe.Add(ref a, 5 * rowOfA);
            ref var a6 = ref Unsafe.Add(ref a, 6 * rowOfA);
            ref var a7 = ref Unsafe.Add(ref a, 7 * rowOfA);
            ref var next = ref b;
            for (nint k = 0, end = (nint)depth * depthOfA; k < end; k += depthOfA)
            {
                var x = Vector.LoadUnsafe(ref next);
                c0 = Vector.FusedMultiplyAdd(new Vector<float>(Unsafe.Add(ref a, k)), x, c0);
                c1 = Vector.FusedMultiplyAdd(new Vector<float>(Unsafe.Add(ref a1, k)), x, c1);
                c2 = Vector.FusedMultiplyAdd(new Vector<float>(Unsafe.Add(ref a2, k)), x, c2);
                c3 = Vector.FusedMultiplyAdd(new Vector<float>(Unsafe.Add(ref a3, k)), x, c3);
                c4 = Vector.FusedMultiplyAdd(new Vector<float>(Unsafe.Add(ref a4, k)), x, c4);
                c5 = Vector.FusedMultiplyAdd(new Vector<float>(Unsafe.Add(ref a5, k)), x, c5);
                c6 = Vector.FusedMultiplyAdd(new Vector<float>(Unsafe.Add(ref a6, k)), x, c6);
                c7 = Vector.FusedMultiplyAdd(new Vector<float>(Unsafe.Add(ref a7, k)), x, c7);
                next = ref Unsafe.Add(ref next, rowOfB);
            }

            c0.StoreUnsafe(ref c);
            c1.StoreUnsafe(ref c, l);
            c2.StoreUnsafe(ref c, 2 * l);
            c3.StoreUnsafe(ref c, 3 * l);
            c4.StoreUnsafe(ref c, 4 * l);
            c5.StoreUnsafe(ref c, 5 * l);
            c6.StoreUnsafe(ref c, 6 * l);
            c7.StoreUnsafe(ref c, 7 * l);
            a = ref Unsafe.Add(ref a, RowStep * rowOfA);
            c = ref Unsafe.Add(ref c, RowStep * rowOfC);
        }
    }
}
