using System.Numerics;

namespace Diffusion.Core.Models.Tests;

/// <summary>The elementary functions of the kernels against those of the runtime in float64.</summary>
public class HostVectorTests
{
    [Fact]
    public void Powers_of_two_have_the_stated_error()
        => LargestError(HostVector.Exp2, x => Math.Pow(2, x), -126, 127).Should().BeInRange(5e-8, 1e-7);

    [Fact]
    public void The_sigmoid_has_the_stated_error()
        => LargestError(HostVector.Sigmoid, x => 1 / (1 + Math.Exp(-x)), -20, 20).Should().BeInRange(5e-8, 1.2e-6);

    [Theory]
    [InlineData(float.NegativeInfinity, 0f)]
    [InlineData(-1e30f, 0f)]
    [InlineData(-100f, 0f)]
    [InlineData(100f, 1f)]
    [InlineData(float.PositiveInfinity, 1f)]
    [InlineData(float.NaN, float.NaN)]
    public void The_sigmoid_is_bounded(float x, float expected)
    {
        var y = HostVector.Sigmoid(new Vector<float>(x))[0];
        if (float.IsNaN(expected))
            y.Should().Be(float.NaN);
        else
            y.Should().BeApproximately(expected, 1e-37f);
    }

    [Theory]
    [InlineData(-126f, 1.17549435e-38f)]
    [InlineData(-127f, 1.17549435e-38f)]
    [InlineData(float.NegativeInfinity, 1.17549435e-38f)]
    [InlineData(0f, 1f)]
    [InlineData(127f, 1.7014118e38f)]
    [InlineData(float.NaN, float.NaN)]
    public void Powers_of_two_at_the_ends(float x, float expected) => HostVector.Exp2(new Vector<float>(x))[0].Should().Be(expected);

    private static double LargestError(Func<Vector<float>, Vector<float>> function, Func<double, double> exact, double from, double to)
    {
        const int Count = 400_000;
        var worst = 0.0;
        for (var k = 0; k <= Count; k++)
        {
            var x = (float)(from + ((to - from) * k / Count));
            worst = Math.Max(worst, Math.Abs((function(new Vector<float>(x))[0] / exact(x)) - 1));
        }

        return worst;
    }
}
