using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// Two coefficients of a linear combination <c>First * a + Second * b</c>. The whole algebra of diffusion consists of these: the
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
    /// <returns>A new tensor of that shape. The caller must dispose the returned tensor.</returns>
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

/// <summary>Sums of tensors with coefficients computed in double precision, as few operators as there are terms.</summary>
public static class LinearCombination
{
    /// <summary>
    /// <c>sum_i coefficient_i * tensor_i</c>. A tensor whose coefficient is zero is not read, so that an infinity there cannot turn into
    /// NaN.
    /// </summary>
    /// <param name="terms">At least one; all tensors of one shape, type and device.</param>
    /// <returns>A new tensor of that shape. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">There are no terms, a coefficient is not finite, or the shapes or types differ.</exception>
    public static Tensor Of(params ReadOnlySpan<(double Coefficient, Tensor Tensor)> terms)
    {
        if (terms.IsEmpty)
            throw new ArgumentException("A linear combination needs at least one term, got none.", nameof(terms));
        Tensor? sum = null;
        var like = terms[0].Tensor;
        foreach (var (coefficient, tensor) in terms)
        {
            if (!double.IsFinite(coefficient))
            {
                sum?.Dispose();
                throw new ArgumentException($"A coefficient must be finite, got {coefficient}.", nameof(terms));
            }

            Guard.SameShape(like, tensor, "the first tensor", "a tensor");
            Guard.SameType(like, tensor, "the first tensor", "a tensor");
            if (coefficient == 0.0)
                continue;
            if (sum is null)
                sum = tensor.Mul(coefficient);
            else
                sum.Add_(tensor, alpha: coefficient);
        }

        return sum ?? zeros_like(like);
    }
}
