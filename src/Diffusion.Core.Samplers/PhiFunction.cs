namespace Diffusion.Core.Samplers;

/// <summary>
/// The functions that every exponential integrator is made of: <c>phi_0(z) = e^z</c> and
/// <c>phi_k(z) = (phi_{k-1}(z) - 1 / (k-1)!) / z</c>, so that <c>phi_k(0) = 1 / k!</c>.
/// </summary>
/// <remarks>Source: Hochbruck and Ostermann 2010, "Exponential integrators", eq. 2.10 and 2.11.</remarks>
internal static class PhiFunction
{
    // Below, the recursion would lose digits to cancellation; above, the series is slow.
    private const double SeriesRadius = 2.0;

    /// <summary>phi_k(z), to all but the last few digits for every finite z.</summary>
    public static double Of(int k, double z)
    {
        if (Math.Abs(z) <= SeriesRadius)
            return Series(k, z);
        var (phi, factorial) = (Math.Exp(z), 1.0);
        for (var j = 1; j <= k; j++)
        {
            phi = (phi - (1.0 / factorial)) / z;
            factorial *= j;
        }

        return phi;
    }

    /// <summary>k! for small k.</summary>
    public static double Factorial(int k) => k < 2 ? 1.0 : k * Factorial(k - 1);

    private static double Series(int k, double z)
    {
        var term = 1.0 / Factorial(k);
        var sum = 0.0;
        for (var j = 1; sum + term != sum; j++)
        {
            sum += term;
            term *= z / (k + j);
        }

        return sum;
    }
}
