namespace Diffusion.Core.Schedules;

/// <summary>
/// How the times of flow matching are moved towards noise, since large images need more of it: the odds s / (1 - s) are raised to a
/// power and multiplied by a factor. Immutable.
/// </summary>
/// <remarks>Source: Esser et al. 2024, "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis", eq. 23.</remarks>
public sealed record TimestepShift
{
    private TimestepShift(double factor, double power) => (Factor, Power) = (factor, power);

    /// <summary>No shift.</summary>
    public static TimestepShift None { get; } = new(1.0, 1.0);

    /// <summary>The factor of the odds.</summary>
    public double Factor { get; }

    /// <summary>The power of the odds.</summary>
    public double Power { get; }

    /// <summary><c>s' = shift s / (1 + (shift - 1) s)</c>, the square root of the ratio of pixels; 3 in Stable Diffusion 3.</summary>
    /// <exception cref="ArgumentOutOfRangeException">shift is not finite and positive.</exception>
    public static TimestepShift Static(double shift) => new(Guard.Positive(shift), 1.0);

    /// <summary><c>s' = e^mu / (e^mu + (1/s - 1)^power)</c>: diffusers' exponential time shift.</summary>
    /// <param name="mu">The logarithm of the factor, such as <see cref="MuForTokens"/>.</param>
    /// <param name="power">The power of the odds.</param>
    /// <exception cref="ArgumentOutOfRangeException">mu lies outside [-700, 700], or the power is not finite and positive.</exception>
    public static TimestepShift Exponential(double mu, double power = 1.0)
        => new(Math.Exp(Guard.InRange(mu, -700.0, 700.0)), Guard.Positive(power));

    /// <summary><c>s' = mu / (mu + (1/s - 1)^power)</c>: diffusers' linear time shift.</summary>
    /// <exception cref="ArgumentOutOfRangeException">mu or the power is not finite and positive.</exception>
    public static TimestepShift Linear(double mu, double power = 1.0) => new(Guard.Positive(mu), Guard.Positive(power));

    /// <summary>
    /// mu of a dynamic shift: a straight line through (<paramref name="baseTokens"/>, <paramref name="baseMu"/>) and
    /// (<paramref name="maxTokens"/>, <paramref name="maxMu"/>), beyond them too. The defaults are those of FLUX.1 in diffusers.
    /// </summary>
    /// <param name="tokens">The length of the sequence of image patches.</param>
    /// <param name="baseTokens">A short sequence: an image of 256 x 256.</param>
    /// <param name="maxTokens">A long sequence: an image of 1024 x 1024.</param>
    /// <param name="baseMu">mu of the short sequence.</param>
    /// <param name="maxMu">mu of the long sequence.</param>
    /// <exception cref="ArgumentOutOfRangeException">A length is not positive, or the two of the line are not in order.</exception>
    public static double MuForTokens(int tokens, int baseTokens = 256, int maxTokens = 4096, double baseMu = 0.5, double maxMu = 1.15)
    {
        Guard.Positive(tokens);
        Guard.InRange(maxTokens, Guard.Positive(baseTokens) + 1, int.MaxValue);
        return baseMu + ((maxMu - baseMu) * (tokens - baseTokens) / (maxTokens - baseTokens));
    }

    /// <summary>The shifted s, for s in [0, 1]; 0 and 1 stay.</summary>
    public double Apply(double s) => this == None ? s : Share(Factor * Raise(s), Raise(1.0 - s));

    /// <summary><c>1 - Apply(1 - rest)</c> without losing digits where <paramref name="rest"/> is small.</summary>
    public double ApplyToRest(double rest) => this == None ? rest : Share(Raise(rest), Factor * Raise(1.0 - rest));

    /// <summary>The s whose shifted value is given.</summary>
    public double Invert(double shifted)
        => Power == 1.0
            ? Share(shifted, Factor * (1.0 - shifted))
            : Share(Math.Pow(shifted / Factor, 1.0 / Power), Math.Pow(1.0 - shifted, 1.0 / Power));

    private static double Share(double part, double rest) => part / (part + rest);

    private double Raise(double s) => Power == 1.0 ? s : Math.Pow(s, Power);
}
