namespace Diffusion.Core.Schedules;

/// <summary>
/// The preconditioning of EDM, expressed for x_t with any alpha. With <c>n^2 = sigma^2 + sigma_data^2 alpha^2</c>, the variance of
/// x_t, the coefficients of Karras et al. 2022, table 1, in x_t / alpha at sigma / alpha, become c_skip = sigma_data^2 alpha / n^2,
/// c_out = sigma sigma_data / n and c_in = 1 / n, which do not require a division by alpha.
/// </summary>
internal sealed class EdmPrediction(string name, double sigmaData, double sign) : Prediction
{
    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double> Parameters => new Dictionary<string, double> { ["sigma_data"] = sigmaData };

    /// <inheritdoc/>
    public override Func<NoiseLevel, double> InputScale => level => 1.0 / Deviation(level, sigmaData);

    /// <summary>Returns the standard deviation of x_t for data with the standard deviation <paramref name="sigmaData"/>.</summary>
    public static double Deviation(NoiseLevel level, double sigmaData) => Math.Sqrt(Variance(level, sigmaData));

    /// <inheritdoc/>
    public override LinearPair Target(NoiseLevel level, NoiseLevel previous)
    {
        var deviation = Deviation(level, sigmaData);
        return new LinearPair(sign * level.Sigma / (sigmaData * deviation), -sign * sigmaData * level.Alpha / deviation);
    }

    /// <inheritdoc/>
    public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
    {
        var variance = Variance(level, sigmaData);
        return new LinearPair(sigmaData * sigmaData * level.Alpha / variance, sign * level.Sigma * sigmaData / Math.Sqrt(variance));
    }

    /// <inheritdoc/>
    public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
    {
        var variance = Variance(level, sigmaData);
        return new LinearPair(level.Sigma / variance, -sign * level.Alpha * sigmaData / Math.Sqrt(variance));
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is EdmPrediction other && other.Name == name && other.Parameters["sigma_data"] == sigmaData;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(name, sigmaData);

    private static double Variance(NoiseLevel level, double sigmaData)
        => (level.Sigma * level.Sigma) + (sigmaData * sigmaData * level.Alpha * level.Alpha);
}
