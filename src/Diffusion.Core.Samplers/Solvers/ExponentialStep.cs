using Diffusion.Core.Schedules;

namespace Diffusion.Core.Samplers;

/// <summary>
/// The exact part of one step between two levels: the factor of x, the moments of the integral over the prediction, and the noise. With
/// tau = 0 the step solves the probability flow ODE, and with tau = 1 the reverse SDE. The distribution of the samples is the same for
/// every tau.
/// </summary>
/// <remarks>
/// Source: Lu et al. 2022, "DPM-Solver", eq. 3.4, and "DPM-Solver++", eq. 8 and 19; Xue et al. 2023, "SA-Solver", eq. 14, for any tau.
/// </remarks>
internal readonly struct ExponentialStep
{
    private readonly NoiseLevel _from;
    private readonly NoiseLevel _to;
    private readonly bool _ofData;
    private readonly double _kappa;

    public ExponentialStep(AlgorithmType form, NoiseLevel from, NoiseLevel to, double tau = 0.0)
    {
        (_from, _to, _ofData, _kappa) = (from, to, form == AlgorithmType.DataPrediction, 1.0 + (tau * tau));
        Length = Distance(from, to);
        if (Length == 0.0)
        {
            // Two levels with the same log-SNR differ by at most a scale.
            Sample = from == to ? 1.0 : (to.Alpha + to.Sigma) / (from.Alpha + from.Sigma);
            return;
        }

        var square = tau * tau;
        Sample = _ofData ? to.Sigma / from.Sigma * (tau == 0.0 ? 1.0 : Math.Exp(-square * Length)) : to.Alpha / from.Alpha;
        if (tau != 0.0)
            Deviation = to.Sigma * (_ofData ? Math.Sqrt(-Grown(-2.0 * square * Length)) : tau * Math.Sqrt(Grown(2.0 * Length)));
    }

    /// <summary>h, the increase of lambda. It is infinite for a step from a level without signal or to a level without noise.</summary>
    public double Length { get; }

    /// <summary>The factor of x.</summary>
    public double Sample { get; }

    /// <summary>The standard deviation of the noise that is added.</summary>
    public double Deviation { get; }

    /// <summary>The factor of the integral: alpha' for data prediction, -sigma' for noise prediction.</summary>
    public double Scale => _ofData ? _to.Alpha : -_to.Sigma;

    /// <summary>1 + tau^2.</summary>
    public double Kappa => _kappa;

    /// <summary>The argument of the phi functions.</summary>
    public double Exponent => _ofData ? -_kappa * Length : Length;

    /// <summary>
    /// Whether the factor of x is not finite, because the step starts at a level without noise (data prediction) or without signal (noise
    /// prediction). x at the new level is then computed from the predicted x_0 and eps.
    /// </summary>
    public bool IsSingular => Length != 0.0 && (_ofData ? _from.Sigma : _from.Alpha) == 0.0;

    /// <summary>Whether the moments after the first are finite.</summary>
    public bool HasMoments => double.IsFinite(Length) || (!_ofData && _from.Alpha > 0.0);

    /// <summary>
    /// Computes the integral of <c>(lambda - lambda_from)^k</c> over the step with its kernel:
    /// <c>scale (1 + tau^2) k! h^{k+1} phi_{k+1}(z)</c>. If the prediction is a polynomial, its integral is a linear combination of the
    /// moments.
    /// </summary>
    public double Moment(int k)
    {
        if (double.IsFinite(Length))
            return Scale * _kappa * PhiFunction.Factorial(k) * Math.Pow(Length, k + 1) * PhiFunction.Of(k + 1, Exponent);
        return _ofData
            ? (k == 0 ? Scale : double.PositiveInfinity)
            : -_kappa * PhiFunction.Factorial(k) * _to.Alpha * _from.Sigma / _from.Alpha;
    }

    /// <summary>Computes the first <paramref name="count"/> moments.</summary>
    public double[] Moments(int count)
    {
        var moments = new double[count];
        for (var k = 0; k < count; k++)
            moments[k] = Moment(k);
        return moments;
    }

    /// <summary>Computes lambda' - lambda, which is 0 for equal lambdas even if both are infinite.</summary>
    public static double Distance(NoiseLevel from, NoiseLevel to) => from.Lambda == to.Lambda ? 0.0 : to.Lambda - from.Lambda;

    /// <summary>Computes e^z - 1 without cancellation.</summary>
    private static double Grown(double z) => double.IsFinite(z) ? z * PhiFunction.Of(1, z) : Math.Exp(z) - 1.0;
}
