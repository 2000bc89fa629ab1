using Diffusion.Core.Schedules;

namespace Diffusion.Core.Losses;

/// <summary>The weight of each noise level in a loss, as a function of alpha and sigma.</summary>
/// <remarks>
/// If a network predicts x_0 = a x_t + b output, the error in x_0 is b times the error in the output, for any prediction. Most
/// weightings are therefore defined by a weight w of the squared error in x_0, and the squared error in the output is weighted by w
/// b^2, so that the loss of a model does not depend on its prediction. <see cref="LossWeighting.OfData"/> creates a weighting from w.
/// </remarks>
public abstract class LossWeighting
{
    /// <summary>The standard name of the weighting, such as <c>min-snr</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Returns the weight of the distance between the output of a network and its target.</summary>
    /// <param name="level">alpha and sigma at t; either may be 0.</param>
    /// <param name="previous">alpha and sigma one step closer to the data. Few predictions use it.</param>
    /// <param name="prediction">The prediction type of the network.</param>
    /// <returns>The weight, which is finite and not negative.</returns>
    public abstract double Weight(NoiseLevel level, NoiseLevel previous, Prediction prediction);

    /// <summary>
    /// The weight 1 for the squared error of the output, so that the loss depends on the prediction: L_simple (Ho et al. 2020, eq.
    /// 14).
    /// </summary>
    public static LossWeighting None { get; } = new NoWeighting();

    /// <summary>w = SNR, so that the error in eps has the weight 1 (Salimans and Ho 2022, section 4).</summary>
    public static LossWeighting Snr { get; } = OfData("snr", level => level.Snr);

    /// <summary>w = max(SNR, 1) (Salimans and Ho 2022, section 4).</summary>
    public static LossWeighting TruncatedSnr { get; } = OfData("truncated-snr", level => Math.Max(level.Snr, 1.0));

    /// <summary>
    /// w = sqrt(SNR), so that the error in eps is weighted by 1 / sqrt(SNR) (Yu et al. 2024, "Unmasking Bias in Diffusion Model
    /// Training", section 4).
    /// </summary>
    public static LossWeighting Debiased { get; } = OfData("debiased", level => 1.0 / level.NoiseToSignalRatio);

    /// <summary>
    /// Creates the weighting w = min(SNR, gamma). The error in eps is weighted by min(SNR, gamma) / SNR, and that in v by min(SNR,
    /// gamma) / (SNR + 1) (Hang et al. 2023, section 3.4).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="gamma"/> is not finite and greater than 0.</exception>
    public static LossWeighting MinSnr(double gamma = 5.0)
    {
        Guard.Positive(gamma);
        return OfData("min-snr", level => Math.Min(level.Snr, gamma));
    }

    /// <summary>
    /// Creates the weighting w = gamma SNR / (gamma + SNR), a smooth approximation of <see cref="MinSnr"/> (Crowson et al. 2024,
    /// "Hourglass Diffusion Transformers"). The soft-min-snr of k-diffusion with sigma_data corresponds to gamma = 1 / sigma_data^2.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="gamma"/> is not finite and greater than 0.</exception>
    public static LossWeighting SoftMinSnr(double gamma = 4.0)
    {
        Guard.Positive(gamma);
        return OfData("soft-min-snr", level => 1.0 / ((1.0 / level.Snr) + (1.0 / gamma)));
    }

    /// <summary>
    /// Creates the weighting w = SNR sigmoid(bias - log SNR), so that the error in eps is weighted by the sigmoid (Kingma and Gao
    /// 2023; Hoogeboom et al. 2024, "Simpler Diffusion"). It is equal to <see cref="SoftMinSnr"/> with gamma = exp(bias). The losses
    /// in these papers are integrals over the log-SNR. To obtain them, draw times uniformly in the log-SNR
    /// (<see cref="TimeDistribution.UniformLogSnr"/>); with other times, their density is an additional weight.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="bias"/> is outside [-30, 30].</exception>
    public static LossWeighting Sigmoid(double bias = 0.0)
    {
        Guard.InRange(bias, -30.0, 30.0);
        return OfData("sigmoid", level => 1.0 / ((1.0 / level.Snr) + Math.Exp(-bias)));
    }

    /// <summary>
    /// Creates the weighting w = SNR / (k + SNR)^gamma, so that the error in eps is weighted by 1 / (k + SNR)^gamma (Choi et al. 2022,
    /// "Perception Prioritized Training", eq. 8).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <paramref name="k"/> is not finite and greater than 0, or <paramref name="gamma"/> is outside [0, 4].
    /// </exception>
    public static LossWeighting P2(double k = 1.0, double gamma = 1.0)
    {
        Guard.Positive(k);
        Guard.InRange(gamma, 0.0, 4.0);
        return OfData("p2", level => level.Snr / Math.Pow(k + level.Snr, gamma));
    }

    /// <summary>
    /// Creates the weighting w = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2, where sigma is the standard deviation of the noise
    /// in x_t / alpha. The error in the raw output of the network of EDM has the weight 1 (Karras et al. 2022, table 1).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="sigmaData"/> is not finite and greater than 0.</exception>
    public static LossWeighting Edm(double sigmaData = 0.5)
    {
        Guard.Positive(sigmaData);
        return OfData("edm", level => level.Snr + (1.0 / (sigmaData * sigmaData)));
    }

    /// <summary>Creates a weighting from the weight of the squared error in x_0.</summary>
    /// <param name="name">The standard name of the weighting.</param>
    /// <param name="weight">The weight, a pure function of alpha and sigma, both of which are greater than 0.</param>
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
        // The least ratio of alpha to sigma, and of sigma to alpha. It limits the SNR to [1e-16, 1e16].
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
