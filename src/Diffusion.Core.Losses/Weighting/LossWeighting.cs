using Diffusion.Core.Schedules;

namespace Diffusion.Core.Losses;

/// <summary>How much each noise level counts in a loss, as pure algebra over alpha and sigma.</summary>
/// <remarks>
/// A network that predicts x_0 = a x_t + b output has an error in x_0 that is b times the error in its output, for any prediction. So
/// most weightings are stated once, as a weight w of the squared error in x_0, and weigh the squared error of an output by w b^2:
/// one model in any parametrisation then has one loss. <see cref="LossWeighting.OfData"/> creates a weighting from such a w.
/// </remarks>
public abstract class LossWeighting
{
    /// <summary>The field's name of the weighting, such as <c>min-snr</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The weight of the distance between the output of a network and its target.</summary>
    /// <param name="level">alpha and sigma at t; either may be 0.</param>
    /// <param name="previous">alpha and sigma one step nearer to the data; few predictions need it.</param>
    /// <param name="prediction">What the network predicts.</param>
    /// <returns>Finite and not negative.</returns>
    public abstract double Weight(NoiseLevel level, NoiseLevel previous, Prediction prediction);

    /// <summary>1 for any prediction, so that parametrisations differ: L_simple (Ho et al. 2020, eq. 14).</summary>
    public static LossWeighting None { get; } = new NoWeighting();

    /// <summary>w = SNR: the error in eps, for any prediction (Salimans and Ho 2022, section 4).</summary>
    public static LossWeighting Snr { get; } = OfData("snr", level => level.Snr);

    /// <summary>w = max(SNR, 1) (Salimans and Ho 2022, section 4).</summary>
    public static LossWeighting TruncatedSnr { get; } = OfData("truncated-snr", level => Math.Max(level.Snr, 1.0));

    /// <summary>
    /// w = sqrt(SNR), so that eps is weighed by 1 / sqrt(SNR) (Yu et al. 2024, "Unmasking Bias in Diffusion Model Training", section 4).
    /// </summary>
    public static LossWeighting Debiased { get; } = OfData("debiased", level => 1.0 / level.NoiseToSignalRatio);

    /// <summary>
    /// w = min(SNR, gamma): eps is weighed by min(SNR, gamma) / SNR and v by min(SNR, gamma) / (SNR + 1) (Hang et al. 2023, section 3.4).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="gamma"/> is not finite and greater than 0.</exception>
    public static LossWeighting MinSnr(double gamma = 5.0)
    {
        Guard.Positive(gamma);
        return OfData("min-snr", level => Math.Min(level.Snr, gamma));
    }

    /// <summary>
    /// w = gamma SNR / (gamma + SNR), which turns where <see cref="MinSnr"/> breaks off (Crowson et al. 2024, "Hourglass Diffusion
    /// Transformers"). k-diffusion's soft-min-snr with sigma_data has gamma = 1 / sigma_data^2.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="gamma"/> is not finite and greater than 0.</exception>
    public static LossWeighting SoftMinSnr(double gamma = 4.0)
    {
        Guard.Positive(gamma);
        return OfData("soft-min-snr", level => 1.0 / ((1.0 / level.Snr) + (1.0 / gamma)));
    }

    /// <summary>
    /// w = SNR sigmoid(bias - log SNR), so that eps is weighed by the sigmoid (Kingma and Gao 2023; Hoogeboom et al. 2024, "Simpler
    /// Diffusion"). It is <see cref="SoftMinSnr"/> with gamma = exp(bias). Their losses integrate over the log-SNR: draw times evenly in it
    /// (<see cref="TimeDistribution.UniformLogSnr"/>), or the density of the times is a further weight.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="bias"/> lies outside [-30, 30].</exception>
    public static LossWeighting Sigmoid(double bias = 0.0)
    {
        Guard.InRange(bias, -30.0, 30.0);
        return OfData("sigmoid", level => 1.0 / ((1.0 / level.Snr) + Math.Exp(-bias)));
    }

    /// <summary>
    /// w = SNR / (k + SNR)^gamma, so that eps is weighed by 1 / (k + SNR)^gamma (Choi et al. 2022, "Perception Prioritized Training",
    /// eq. 8).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <paramref name="k"/> is not finite and greater than 0, or <paramref name="gamma"/> lies outside [0, 4].
    /// </exception>
    public static LossWeighting P2(double k = 1.0, double gamma = 1.0)
    {
        Guard.Positive(k);
        Guard.InRange(gamma, 0.0, 4.0);
        return OfData("p2", level => level.Snr / Math.Pow(k + level.Snr, gamma));
    }

    /// <summary>
    /// w = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 with sigma the noise of x_t / alpha: the raw output of EDM's network has
    /// weight 1 (Karras et al. 2022, table 1).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="sigmaData"/> is not finite and greater than 0.</exception>
    public static LossWeighting Edm(double sigmaData = 0.5)
    {
        Guard.Positive(sigmaData);
        return OfData("edm", level => level.Snr + (1.0 / (sigmaData * sigmaData)));
    }

    /// <summary>A weighting from its weight of the squared error in x_0.</summary>
    /// <param name="name">The field's name.</param>
    /// <param name="weight">A pure function of alpha and sigma, neither of them 0.</param>
    public static LossWeighting OfData(string name, Func<NoiseLevel, double> weight)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(weight);
        return new DataWeighting(name, weight);
    }

    private sealed class NoWeighting : LossWeighting
    {
        public override string Name => "none";

        public override double Weight(NoiseLevel level, NoiseLevel previous, Prediction prediction) => 1.0;
    }

    private sealed class DataWeighting(string name, Func<NoiseLevel, double> weight) : LossWeighting
    {
        // The root of the least and the greatest SNR that differs from 0 and infinity.
        private const double Least = 1e-8;

        public override string Name => name;

        public override double Weight(NoiseLevel level, NoiseLevel previous, Prediction prediction)
        {
            ArgumentNullException.ThrowIfNull(prediction);
            var inner = new NoiseLevel(Math.Max(level.Alpha, Least * level.Sigma), Math.Max(level.Sigma, Least * level.Alpha));
            var slope = prediction.ToX0(inner, level == previous ? inner : previous).Second;
            return weight(inner) * slope * slope;
        }
    }
}
