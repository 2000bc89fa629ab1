namespace Diffusion.Core.Schedules;

/// <summary>The predictions of the literature. All conversions agree: one model in any of these forms gives one trajectory.</summary>
public static class Prediction
{
    /// <summary>The total noise of x_t (Ho et al. 2020, eq. 14).</summary>
    public static IPrediction Epsilon { get; } = new EpsilonPrediction();

    /// <summary>The clean data, x_0 (Ho et al. 2020, section 3.2).</summary>
    public static IPrediction Data { get; } = new DataPrediction();

    /// <summary>The velocity <c>v = alpha eps - sigma x_0</c> (Salimans and Ho 2022, section 4).</summary>
    public static IPrediction Velocity { get; } = new VelocityPrediction();

    /// <summary>The mean of q(x_{t-1} | x_t, x_0) (Ho et al. 2020, eq. 8).</summary>
    public static IPrediction PreviousMean { get; } = new PreviousMeanPrediction();

    private sealed class EpsilonPrediction : IPrediction
    {
        public string Name => "epsilon";

        public LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);

        public LinearPair ToData(NoiseLevel level, NoiseLevel previous) => new(1.0 / level.Alpha, -level.Sigma / level.Alpha);

        public LinearPair ToNoise(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);
    }

    private sealed class DataPrediction : IPrediction
    {
        public string Name => "data";

        public LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(1.0, 0.0);

        public LinearPair ToData(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);

        public LinearPair ToNoise(NoiseLevel level, NoiseLevel previous) => NoiseGivenData(level);
    }

    private sealed class VelocityPrediction : IPrediction
    {
        public string Name => "velocity";

        public LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(-level.Sigma, level.Alpha);

        // The division makes the inverse exact for processes that do not preserve variance.
        public LinearPair ToData(NoiseLevel level, NoiseLevel previous)
        {
            var norm = (level.Alpha * level.Alpha) + (level.Sigma * level.Sigma);
            return new LinearPair(level.Alpha / norm, -level.Sigma / norm);
        }

        public LinearPair ToNoise(NoiseLevel level, NoiseLevel previous)
        {
            var norm = (level.Alpha * level.Alpha) + (level.Sigma * level.Sigma);
            return new LinearPair(level.Sigma / norm, level.Alpha / norm);
        }
    }

    private sealed class PreviousMeanPrediction : IPrediction
    {
        public string Name => "previous-mean";

        public bool IsPosteriorMean => true;

        public LinearPair Target(NoiseLevel level, NoiseLevel previous)
        {
            var posterior = Posterior(level, previous);
            return new LinearPair(
                posterior.First + (posterior.Second * level.Alpha),
                posterior.Second * level.Sigma);
        }

        public LinearPair ToData(NoiseLevel level, NoiseLevel previous)
        {
            var posterior = Posterior(level, previous);
            return new LinearPair(-posterior.Second / posterior.First, 1.0 / posterior.First);
        }

        public LinearPair ToNoise(NoiseLevel level, NoiseLevel previous)
        {
            var data = ToData(level, previous);
            var noise = NoiseGivenData(level);
            return new LinearPair(noise.First + (noise.Second * data.First), noise.Second * data.Second);
        }

        private static LinearPair Posterior(NoiseLevel level, NoiseLevel previous)
            => level == previous
                ? throw new ArgumentException(
                    "The previous mean needs a schedule with steps: there is no step before a continuous time.", nameof(previous))
                : GaussianTransition.PosteriorMean(level, previous);
    }

    /// <summary>eps as coefficients of (x_t, x_0); without noise there is nothing to divide by and eps is taken as zero.</summary>
    public static LinearPair NoiseGivenData(NoiseLevel level)
        => level.Sigma == 0.0 ? new LinearPair(0.0, 0.0) : new LinearPair(1.0 / level.Sigma, -level.Alpha / level.Sigma);
}
