namespace Diffusion.Core.Schedules;

/// <summary>
/// EDM's preconditioning, in terms of x_t with any alpha. With <c>n^2 = sigma^2 + sigma_data^2 alpha^2</c>, the variance of x_t, the
/// coefficients of Karras et al. 2022, table 1, in x_t / alpha at sigma / alpha, become c_skip = sigma_data^2 alpha / n^2, c_out =
/// sigma sigma_data / n and c_in = 1 / n, which need no division by alpha.
/// </summary>
internal sealed record EdmPrediction(string Name, double SigmaData, double Sign) : IPrediction
{
    /// <inheritdoc/>
    public IReadOnlyDictionary<string, double> Parameters => new Dictionary<string, double> { ["sigma_data"] = SigmaData };

    /// <inheritdoc/>
    public Func<NoiseLevel, double> InputScale => level => 1.0 / Deviation(level, SigmaData);

    /// <summary>The standard deviation of x_t, for data of the given one.</summary>
    public static double Deviation(NoiseLevel level, double sigmaData) => Math.Sqrt(Variance(level, sigmaData));

    /// <inheritdoc/>
    public LinearPair Target(NoiseLevel level, NoiseLevel previous)
    {
        var deviation = Deviation(level, SigmaData);
        return new LinearPair(Sign * level.Sigma / (SigmaData * deviation), -Sign * SigmaData * level.Alpha / deviation);
    }

    /// <inheritdoc/>
    public LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
    {
        var variance = Variance(level, SigmaData);
        return new LinearPair(SigmaData * SigmaData * level.Alpha / variance, Sign * level.Sigma * SigmaData / Math.Sqrt(variance));
    }

    /// <inheritdoc/>
    public LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
    {
        var variance = Variance(level, SigmaData);
        return new LinearPair(level.Sigma / variance, -Sign * level.Alpha * SigmaData / Math.Sqrt(variance));
    }

    private static double Variance(NoiseLevel level, double sigmaData)
        => (level.Sigma * level.Sigma) + (sigmaData * sigmaData * level.Alpha * level.Alpha);
}
