using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The linear multistep method (Adams-Bashforth with unequal steps), which integrates the polynomial through the last slopes exactly over
/// the step.
/// </summary>
/// <remarks>
/// A step is <c>y' = y + sum_j eps_j integral of l_j(r) dr</c> with y = x / alpha, r = sigma / alpha and the Lagrange polynomials l_j of
/// the last ratios. Each step needs one network call. The first step is an Euler step, so that a whole run is of second order at most, even
/// if the formula has a higher order. Earlier steps at the same ratio, or without signal, are omitted from the polynomial.
/// Source: k-diffusion, sample_lms; Hairer, Norsett and Wanner 1993, "Solving Ordinary Differential Equations I", section III.5.
/// </remarks>
public sealed class LmsSolver : ISolver
{
    private const int MaxOrder = 4;

    /// <summary>Initializes a new instance of the <see cref="LmsSolver"/> class.</summary>
    /// <param name="order">The order, from 1 (Euler) to 4. The default is 4.</param>
    /// <exception cref="ArgumentOutOfRangeException">The order is outside [1, 4].</exception>
    public LmsSolver(int order = MaxOrder) => Order = Guard.InRange(order, 1, MaxOrder);

    /// <summary>The order of the formula. The first steps have a lower order, because less history is available.</summary>
    public int Order { get; }

    /// <summary>Whether a step to clean data is an Euler step. The default is <see langword="true"/>.</summary>
    public bool EulerAtEnd { get; init; } = true;

    /// <inheritdoc/>
    public int HistoryLength => Order - 1;

    /// <inheritdoc/>
    public Tensor Step(SolverStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var (from, to) = (step.From, step.To);
        if (from.Alpha == 0.0 || (to.Sigma == 0.0 && EulerAtEnd))
            return SigmaAlgebra.EulerTo(step.Current, to);

        Span<double> ratios = stackalloc double[MaxOrder];
        var slopes = new Tensor[MaxOrder];
        var count = 0;
        (ratios[count], slopes[count++]) = (from.NoiseToSignalRatio, step.Current.Epsilon);
        foreach (var past in step.History)
        {
            var ratio = past.Prediction.Level.NoiseToSignalRatio;
            if (count < Order && double.IsFinite(ratio) && !ratios[..count].Contains(ratio))
                (ratios[count], slopes[count++]) = (ratio, past.Prediction.Epsilon);
        }

        var next = step.Sample.Mul(to.Alpha / from.Alpha);
        for (var j = 0; j < count; j++)
            next.Add_(slopes[j], alpha: to.Alpha * IntegralOfLagrange(ratios[..count], j, from.NoiseToSignalRatio, to.NoiseToSignalRatio));
        return next;
    }

    /// <summary>
    /// Computes the integral of the j-th Lagrange polynomial. Gaussian quadrature with two points is exact up to degree 3, the degree for
    /// order 4.
    /// </summary>
    private static double IntegralOfLagrange(ReadOnlySpan<double> nodes, int j, double from, double to)
    {
        var (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
        var offset = half / Math.Sqrt(3.0);
        return half * (Lagrange(nodes, j, middle - offset) + Lagrange(nodes, j, middle + offset));
    }

    private static double Lagrange(ReadOnlySpan<double> nodes, int j, double at)
    {
        var product = 1.0;
        for (var k = 0; k < nodes.Length; k++)
        {
            if (k != j)
                product *= (at - nodes[k]) / (nodes[j] - nodes[k]);
        }

        return product;
    }
}
