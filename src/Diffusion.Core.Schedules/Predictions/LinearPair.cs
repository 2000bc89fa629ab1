using static TorchSharp.torch;

namespace Diffusion.Core.Schedules;

/// <summary>
/// The coefficients of a linear combination <c>First * a + Second * b</c>. The forward process, the posterior mean and every
/// conversion between predictions are such pairs. They are computed in double precision and converted once, when they are applied to
/// tensors.
/// </summary>
/// <param name="First">The coefficient of the first operand.</param>
/// <param name="Second">The coefficient of the second operand.</param>
public readonly record struct LinearPair(double First, double Second)
{
    /// <summary>
    /// Computes <c>First * a + Second * b</c> for a batch whose samples all have the same time. An operand whose coefficient is zero
    /// is not read, so that an infinite value in it does not produce NaN.
    /// </summary>
    /// <param name="a">[...] a tensor of any shape.</param>
    /// <param name="b">A tensor with the shape, type and device of <paramref name="a"/>.</param>
    /// <returns>A new tensor with the shape of the operands. The caller must dispose the returned tensor.</returns>
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

    /// <summary>Computes <c>First * a + Second * b</c> for numbers.</summary>
    public double Apply(double a, double b) => (First * a) + (Second * b);
}

/// <summary>Linear combinations of tensors with coefficients in double precision, computed with one operator per term.</summary>
public static class LinearCombination
{
    /// <summary>
    /// Computes <c>sum_i coefficient_i * tensor_i</c>. A tensor whose coefficient is zero is not read, so that an infinite value in it
    /// does not produce NaN.
    /// </summary>
    /// <param name="terms">
    /// At least one pair of a coefficient and a tensor. All tensors must have the same shape, type and device.
    /// </param>
    /// <returns>A new tensor with the shape of the operands. The caller must dispose the returned tensor.</returns>
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
                throw new ArgumentException(Invariant($"A coefficient must be finite, got {coefficient}."), nameof(terms));
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
