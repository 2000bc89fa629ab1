namespace Diffusion.Core.Schedules;

/// <summary>
/// The noise level at one time: the two coefficients of <c>x_t = alpha x_0 + sigma eps</c>, with eps ~ N(0, I). They define every
/// family of diffusion processes.
/// </summary>
/// <param name="Alpha">The scale of the data, <c>sqrt(abar_t)</c> in a variance preserving process.</param>
/// <param name="Sigma">The standard deviation of the noise, <c>sqrt(1 - abar_t)</c> in a variance preserving process.</param>
public readonly record struct NoiseLevel(double Alpha, double Sigma)
{
    /// <summary>Data without noise: alpha = 1 and sigma = 0. Sampling ends at this level.</summary>
    public static NoiseLevel Clean { get; } = new(1.0, 0.0);

    /// <summary>
    /// sigma / alpha: the standard deviation of the noise in x_t / alpha, which is the "sigma" of variance exploding processes (Karras
    /// et al. 2022). It is +infinity without signal.
    /// </summary>
    public double NoiseToSignalRatio => Sigma / Alpha;

    /// <summary>log(alpha / sigma), half the log-SNR: the lambda of DPM-Solver (Lu et al. 2022).</summary>
    public double Lambda => Math.Log(Alpha) - Math.Log(Sigma);

    /// <summary>log(alpha^2 / sigma^2), in nats. It is +infinity without noise and -infinity without signal.</summary>
    public double LogSnr => 2.0 * Lambda;

    /// <summary>The signal-to-noise ratio, alpha^2 / sigma^2.</summary>
    public double Snr => Alpha * Alpha / (Sigma * Sigma);

    /// <summary>
    /// Returns the noise level of a variance preserving process (alpha^2 + sigma^2 = 1) with the given log-SNR, which may be infinite.
    /// </summary>
    public static NoiseLevel FromLogSnr(double logSnr)
        => new(Math.Sqrt(1.0 / (1.0 + Math.Exp(-logSnr))), Math.Sqrt(1.0 / (1.0 + Math.Exp(logSnr))));

    /// <summary>
    /// Returns the noise level of a variance preserving process in continuous time (Song et al. 2021, eq. 29) for a given integral of
    /// beta: <c>alpha^2 = e^-integral</c>.
    /// </summary>
    public static NoiseLevel FromBetaIntegral(double integral)
    {
        var alpha = Math.Exp(-0.5 * integral);

        // 1 - e^-x is computed as 2 sinh(x / 2) e^(-x / 2), which is accurate for small x.
        return new NoiseLevel(alpha, integral > 100.0 ? 1.0 : Math.Sqrt(2.0 * Math.Sinh(0.5 * integral) * alpha));
    }
}
