using static TorchSharp.torch;

[assembly: Trait("Category", "Conformance")]

namespace TorchSharp.Conformance.Tests;

/// <summary>Reads and compares the numbers of tensors of any type and layout.</summary>
internal static class Values
{
    /// <summary>A float32 tensor of the given shape.</summary>
    public static Tensor Float(ReadOnlySpan<long> shape, params double[] elements) => Make(ScalarType.Float32, shape, elements);

    /// <summary>A float64 tensor of the given shape.</summary>
    public static Tensor Double(ReadOnlySpan<long> shape, params double[] elements) => Make(ScalarType.Float64, shape, elements);

    /// <summary>An int64 tensor of the given shape.</summary>
    public static Tensor Long(ReadOnlySpan<long> shape, params double[] elements) => Make(ScalarType.Int64, shape, elements);

    /// <summary>A tensor of any type and shape from its elements in row-major order.</summary>
    public static Tensor Make(ScalarType type, ReadOnlySpan<long> shape, params double[] elements)
    {
        using var flat = tensor(elements, dtype: type);
        return flat.view(shape.ToArray());
    }

    /// <summary>The elements in row-major order, as doubles; leaves no tensor behind.</summary>
    public static double[] Of(Tensor tensor)
    {
        using var detached = tensor.detach();
        using var wide = detached.to(ScalarType.Float64);
        return wide.data<double>().ToArray();
    }

    /// <summary>Requires the very elements, in row-major order.</summary>
    public static void ShouldHold(this Tensor tensor, params double[] expected) => Of(tensor).Should().Equal(expected);

    /// <summary>Requires the elements to within a relative or absolute difference, whichever is larger.</summary>
    public static void ShouldBeNear(this Tensor tensor, double tolerance, params double[] expected)
    {
        var actual = Of(tensor);
        actual.Should().HaveSameCount(expected);
        for (var i = 0; i < expected.Length; i++)
            actual[i].Should().BeApproximately(expected[i], tolerance * Math.Max(1.0, Math.Abs(expected[i])), "of element {0}", i);
    }

    /// <summary>Requires the very sizes.</summary>
    public static void ShouldHaveShape(this Tensor tensor, params long[] expected) => tensor.shape.Should().Equal(expected);

    /// <summary>The change in the count of live tensors over an action.</summary>
    public static long LiveTensors(Action action)
    {
        var before = Tensor.TotalCount;
        action();
        return Tensor.TotalCount - before;
    }

    /// <summary>Runs an action on a thread of its own to its end, and passes on what it throws.</summary>
    public static void OnAnotherThread(Action action)
    {
        Exception? thrown = null;
        var thread = new Thread(() =>
        {
            try
            {
                action();
            }
            catch (Exception exception)
            {
                thrown = exception;
            }
        });
        thread.Start();
        thread.Join();
        if (thrown is not null)
            throw new AggregateException(thrown);
    }
}
