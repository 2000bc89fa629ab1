namespace Diffusion.Core.Schedules;

/// <summary>
/// The boundary form of consistency models, in terms of x_t with any alpha. With d = sigma - sigma_min alpha, the coefficients of Song
/// et al. 2023, appendix C, in x_t / alpha at sigma / alpha, become c_skip = sigma_data^2 alpha / (d^2 + sigma_data^2 alpha^2) and c_out
/// = d sigma_data / n, with n and c_in those of EDM.
/// </summary>
internal sealed record ConsistencyPrediction(double SigmaData, double SigmaMin) : IPrediction
{
    /// <inheritdoc/>
    public string Name => "consistency";

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, double> Parameters
        => new Dictionary<string, double> { ["sigma_data"] = SigmaData, ["sigma_min"] = SigmaMin };

    /// <inheritdoc/>
    public Func<NoiseLevel, double> InputScale => level => 1.0 / EdmPrediction.Deviation(level, SigmaData);

    /// <inheritdoc/>
    public LinearPair Target(NoiseLevel level, NoiseLevel previous)
    {
        var (skip, output) = ToX0(level, previous);
        var (distance, scale) = (Distance(level), SigmaData * level.Alpha);

        // 1 - alpha c_skip, without the difference of nearly equal numbers.
        var rest = distance * distance / ((distance * distance) + (scale * scale));
        return new LinearPair(rest / output, -level.Sigma * skip / output);
    }

    /// <inheritdoc/>
    public LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
    {
        var (distance, scale) = (Distance(level), SigmaData * level.Alpha);
        return new LinearPair(
            SigmaData * scale / ((distance * distance) + (scale * scale)),
            distance * SigmaData / EdmPrediction.Deviation(level, SigmaData));
    }

    /// <inheritdoc/>
    public LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
    {
        if (level.Sigma == 0.0)
            return Prediction.EpsilonGivenX0(level);
        var (distance, scale) = (Distance(level), SigmaData * level.Alpha);
        return new LinearPair(
            distance * distance / ((distance * distance) + (scale * scale)) / level.Sigma,
            -scale * distance / (level.Sigma * EdmPrediction.Deviation(level, SigmaData)));
    }

    private double Distance(NoiseLevel level) => level.Sigma - (SigmaMin * level.Alpha);
}
