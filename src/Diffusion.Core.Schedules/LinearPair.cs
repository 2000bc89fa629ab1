using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// Two coefficients of a linear combination <c>First * a + Second * b</c>. The whole algebra of diffusion is made of these: the
/// forward process, the posterior mean and every conversion between predictions are pairs computed in double precision and cast
/// once, when they meet a tensor.
/// </summary>
/// <param name="First">The coefficient of the first operand.</param>
/// <param name="Second">The coefficient of the second operand.</param>
public readonly record struct LinearPair(double First, double Second)
{
    /// <summary>
    /// <c>First * a + Second * b</c>, for a whole batch at one time. An operand whose coefficient is zero is not read, so that an
    /// infinity there cannot turn into NaN.
    /// </summary>
    /// <param name="a">[...] any shape.</param>
    /// <param name="b">The shape, type and device of <paramref name="a"/>.</param>
    /// <returns>A new tensor of that shape; the caller's.</returns>
    /// <exception cref="ArgumentException">The shapes or types differ.</exception>
    public Tensor Apply(Tensor a, Tensor b)
    {
        Guard.SameShape(a, b);
        Guard.SameType(a, b);
        if (Second == 0.0)
            return a.Mul(First);
        if (First == 0.0)
            return b.Mul(Second);
        var result = a.Mul(First);
        result.Add_(b, alpha: Second);
        return result;
    }

    /// <summary><c>First * a + Second * b</c>, for numbers.</summary>
    public double Apply(double a, double b) => (First * a) + (Second * b);
}
