namespace Diffusion.Core.Schedules;

/// <summary>
/// A shift of the times of flow matching towards noise, since large images need more noise: the odds s / (1 - s) are raised to a power
/// and multiplied by a factor. Immutable.
/// </summary>
/// <remarks>Source: Esser et al. 2024, "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", eq. 23.</remarks>
public sealed record TimestepShift
{
    private TimestepShift(double factor, double power) => (Factor, Power) = (factor, power);

    /// <summary>No shift.</summary>
    public static TimestepShift None { get; } = new(1.0, 1.0);

    /// <summary>The factor by which the odds are multiplied.</summary>
    public double Factor { get; }

    /// <summary>The power to which the odds are raised.</summary>
    public double Power { get; }

    /// <summary>
    /// Creates the shift <c>s' = shift s / (1 + (shift - 1) s)</c>. The factor is the square root of the ratio of the numbers of
    /// pixels; Stable Diffusion 3 uses 3.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">shift is not finite and positive.</exception>
    public static TimestepShift Static(double shift) => new(Guard.Positive(shift), 1.0);

    /// <summary>Creates the shift <c>s' = e^mu / (e^mu + (1/s - 1)^power)</c>, the exponential time shift of diffusers.</summary>
    /// <param name="mu">The logarithm of the factor, such as the result of <see cref="MuForTokens"/>.</param>
    /// <param name="power">The power to which the odds are raised. The default is 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">mu is outside [-700, 700], or the power is not finite and positive.</exception>
    public static TimestepShift Exponential(double mu, double power = 1.0)
        => new(Math.Exp(Guard.InRange(mu, -700.0, 700.0)), Guard.Positive(power));

    /// <summary>Creates the shift <c>s' = mu / (mu + (1/s - 1)^power)</c>, the linear time shift of diffusers.</summary>
    /// <exception cref="ArgumentOutOfRangeException">mu or the power is not finite and positive.</exception>
    public static TimestepShift Linear(double mu, double power = 1.0) => new(Guard.Positive(mu), Guard.Positive(power));

    /// <summary>
    /// Computes mu of a dynamic shift on the straight line through (<paramref name="baseTokens"/>, <paramref name="baseMu"/>) and
    /// (<paramref name="maxTokens"/>, <paramref name="maxMu"/>), which is extrapolated beyond these points. The defaults are those of
    /// FLUX.1 in diffusers.
    /// </summary>
    /// <param name="tokens">The number of image patches in the sequence.</param>
    /// <param name="baseTokens">The length of a short sequence. The default is 256, an image of 256 x 256 pixels.</param>
    /// <param name="maxTokens">The length of a long sequence. The default is 4096, an image of 1024 x 1024 pixels.</param>
    /// <param name="baseMu">mu for the short sequence. The default is 0.5.</param>
    /// <param name="maxMu">mu for the long sequence. The default is 1.15.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A length is not positive, or <paramref name="maxTokens"/> is not greater than <paramref name="baseTokens"/>.
    /// </exception>
    public static double MuForTokens(int tokens, int baseTokens = 256, int maxTokens = 4096, double baseMu = 0.5, double maxMu = 1.15)
    {
        Guard.Positive(tokens);
        Guard.InRange(maxTokens, Guard.Positive(baseTokens) + 1, int.MaxValue);
        return baseMu + ((maxMu - baseMu) * (tokens - baseTokens) / (maxTokens - baseTokens));
    }

    /// <summary>Returns the shifted s, for s in [0, 1]. The values 0 and 1 are not changed.</summary>
    public double Apply(double s) => this == None ? s : Share(Factor * Raise(s), Raise(1.0 - s));

    /// <summary>Computes <c>1 - Apply(1 - rest)</c> without loss of precision for a small <paramref name="rest"/>.</summary>
    public double ApplyToRest(double rest) => this == None ? rest : Share(Raise(rest), Factor * Raise(1.0 - rest));

    /// <summary>Returns the s for a given shifted value.</summary>
    public double Invert(double shifted)
        => Power == 1.0
            ? Share(shifted, Factor * (1.0 - shifted))
            : Share(Math.Pow(shifted / Factor, 1.0 / Power), Math.Pow(1.0 - shifted, 1.0 / Power));

    private static double Share(double part, double rest) => part / (part + rest);

    private double Raise(double s) => Power == 1.0 ? s : Math.Pow(s, Power);
}
