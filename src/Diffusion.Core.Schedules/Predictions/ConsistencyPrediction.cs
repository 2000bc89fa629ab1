namespace Diffusion.Core.Schedules;

/// <summary>
/// The parametrisation of consistency models with a boundary condition, expressed for x_t with any alpha. With d = sigma - sigma_min
/// alpha, the coefficients of Song et al. 2023, appendix C, in x_t / alpha at sigma / alpha, become c_skip = sigma_data^2 alpha / (d^2
/// + sigma_data^2 alpha^2) and c_out = d sigma_data / n, with n and c_in as in EDM.
/// </summary>
internal sealed class ConsistencyPrediction(double sigmaData, double sigmaMin) : Prediction
{
    /// <inheritdoc/>
    public override string Name => "consistency";

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, double> Parameters
        => new Dictionary<string, double> { ["sigma_data"] = sigmaData, ["sigma_min"] = sigmaMin };

    /// <inheritdoc/>
    public override Func<NoiseLevel, double> InputScale => level => 1.0 / EdmPrediction.Deviation(level, sigmaData);

    /// <inheritdoc/>
    public override LinearPair Target(NoiseLevel level, NoiseLevel previous)
    {
        var (skip, output) = ToX0(level, previous);
        var (distance, scale) = (Distance(level), sigmaData * level.Alpha);

        // 1 - alpha c_skip, computed without subtracting nearly equal numbers.
        var rest = distance * distance / ((distance * distance) + (scale * scale));
        return new LinearPair(rest / output, -level.Sigma * skip / output);
    }

    /// <inheritdoc/>
    public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
    {
        var (distance, scale) = (Distance(level), sigmaData * level.Alpha);
        return new LinearPair(
            sigmaData * scale / ((distance * distance) + (scale * scale)),
            distance * sigmaData / EdmPrediction.Deviation(level, sigmaData));
    }

    /// <inheritdoc/>
    public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
    {
        if (level.Sigma == 0.0)
            return Prediction.EpsilonGivenX0(level);
        var (distance, scale) = (Distance(level), sigmaData * level.Alpha);
        return new LinearPair(
            distance * distance / ((distance * distance) + (scale * scale)) / level.Sigma,
            -scale * distance / (level.Sigma * EdmPrediction.Deviation(level, sigmaData)));
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj)
        => obj is ConsistencyPrediction other && Parameters.SequenceEqual(other.Parameters);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(sigmaData, sigmaMin);

    private double Distance(NoiseLevel level) => level.Sigma - (sigmaMin * level.Alpha);
}
