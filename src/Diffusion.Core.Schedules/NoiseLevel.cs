namespace Diffusion.Core.Schedules;

/// <summary>
/// The two numbers that define every diffusion family at one time: <c>x_t = alpha x_0 + sigma eps</c>, with eps ~ N(0, I).
/// </summary>
/// <param name="Alpha">The scale of the data, <c>sqrt(abar_t)</c> in a variance preserving process.</param>
/// <param name="Sigma">The standard deviation of the noise, <c>sqrt(1 - abar_t)</c> in a variance preserving process.</param>
public readonly record struct NoiseLevel(double Alpha, double Sigma)
{
    /// <summary>Data without noise: alpha 1, sigma 0. Where every sampler ends.</summary>
    public static NoiseLevel Clean { get; } = new(1.0, 0.0);

    /// <summary>
    /// sigma / alpha, the noise of x / alpha: the "sigma" of the exploding form (Karras et al. 2022); +infinity without signal.
    /// </summary>
    public double NoiseToSignalRatio => Sigma / Alpha;

    /// <summary>log(alpha / sigma), half the log-SNR: the lambda of DPM-Solver (Lu et al. 2022).</summary>
    public double Lambda => Math.Log(Alpha) - Math.Log(Sigma);

    /// <summary>log(alpha^2 / sigma^2), in nats: +infinity without noise, -infinity without signal.</summary>
    public double LogSnr => 2.0 * Lambda;

    /// <summary>alpha^2 / sigma^2.</summary>
    public double Snr => Alpha * Alpha / (Sigma * Sigma);

    /// <summary>The level of a variance preserving process (alpha^2 + sigma^2 = 1) with the given log-SNR, infinities included.</summary>
    public static NoiseLevel FromLogSnr(double logSnr)
        => new(Math.Sqrt(1.0 / (1.0 + Math.Exp(-logSnr))), Math.Sqrt(1.0 / (1.0 + Math.Exp(logSnr))));

    /// <summary>
    /// The level of a variance preserving process in continuous time (Song et al. 2021, eq. 29) after the given integral of beta:
    /// <c>alpha^2 = e^-integral</c>.
    /// </summary>
    public static NoiseLevel FromBetaIntegral(double integral)
    {
        var alpha = Math.Exp(-0.5 * integral);

        // 1 - e^-x as 2 sinh(x / 2) e^(-x / 2), which keeps all digits of a small x.
        return new NoiseLevel(alpha, integral > 100.0 ? 1.0 : Math.Sqrt(2.0 * Math.Sinh(0.5 * integral) * alpha));
    }
}
