using static TorchSharp.torch;

namespace Diffusion.Core.Testing;

/// <summary>Tensors as arrays of doubles, and comparisons that name the first difference.</summary>
public static class TensorAssertions
{
    /// <summary>The elements in row-major order.</summary>
    public static double[] Values(this Tensor tensor)
    {
        using var scope = NewDisposeScope();
        var host = tensor.to(ScalarType.Float64).cpu().contiguous();
        return host.data<double>().ToArray();
    }

    /// <summary>Equal to <c>relative * max(|expected|, 1)</c>, element by element.</summary>
    /// <returns>The largest error, in the same measure.</returns>
    public static double ShouldBeClose(this Tensor actual, Tensor expected, double relative, string what)
    {
        actual.shape.Should().Equal(expected.shape, what);
        var (a, b) = (actual.Values(), expected.Values());
        var worst = 0.0;
        for (var i = 0; i < a.Length; i++)
        {
            var error = Math.Abs(a[i] - b[i]) / Math.Max(Math.Abs(b[i]), 1.0);
            if (!(error <= relative))
                Assert.Fail($"{what}: element {i} is {a[i]:R}, expected {b[i]:R} within {relative:E1}, off by {Math.Abs(a[i] - b[i]):E2}.");
            worst = Math.Max(worst, error);
        }

        return worst;
    }

    /// <summary>Equal in every bit.</summary>
    public static void ShouldBeIdentical(this Tensor actual, Tensor expected, string what)
    {
        actual.dtype.Should().Be(expected.dtype, what);
        actual.shape.Should().Equal(expected.shape, what);
        actual.Values().Should().Equal(expected.Values(), what);
    }
}
