namespace Diffusion.Core.Schedules;

public static partial class Prediction
{
    private sealed class EpsilonPrediction : IPrediction
    {
        public string Name => "epsilon";

        public LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);

        public LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => new(1.0 / level.Alpha, -level.Sigma / level.Alpha);

        public LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);
    }

    private sealed class DataPrediction : IPrediction
    {
        public string Name => "data";

        public LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(1.0, 0.0);

        public LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);

        public LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => EpsilonGivenX0(level);
    }

    private sealed class VelocityPrediction : IPrediction
    {
        public string Name => "velocity";

        public LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(-level.Sigma, level.Alpha);

        // The division makes the inverse exact for processes that do not preserve variance.
        public LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
        {
            var norm = (level.Alpha * level.Alpha) + (level.Sigma * level.Sigma);
            return new LinearPair(level.Alpha / norm, -level.Sigma / norm);
        }

        public LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
        {
            var norm = (level.Alpha * level.Alpha) + (level.Sigma * level.Sigma);
            return new LinearPair(level.Sigma / norm, level.Alpha / norm);
        }
    }

    private sealed class ScorePrediction : IPrediction
    {
        public string Name => "score";

        public LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(0.0, -1.0 / level.Sigma);

        public LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => new(1.0 / level.Alpha, level.Sigma * level.Sigma / level.Alpha);

        public LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => new(0.0, -level.Sigma);
    }

    private sealed class FlowVelocityPrediction : IPrediction
    {
        public string Name => "flow-velocity";

        public LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(-1.0, 1.0);

        public LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
            => new(1.0 / (level.Alpha + level.Sigma), -level.Sigma / (level.Alpha + level.Sigma));

        public LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
            => new(1.0 / (level.Alpha + level.Sigma), level.Alpha / (level.Alpha + level.Sigma));
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

        public LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
        {
            var posterior = Posterior(level, previous);
            return new LinearPair(-posterior.Second / posterior.First, 1.0 / posterior.First);
        }

        public LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
        {
            var data = ToX0(level, previous);
            var noise = EpsilonGivenX0(level);
            return new LinearPair(noise.First + (noise.Second * data.First), noise.Second * data.Second);
        }

        private static LinearPair Posterior(NoiseLevel level, NoiseLevel previous)
            => level == previous
                ? throw new ArgumentException(
                    "The previous mean needs a schedule with steps: there is no step before a continuous time.", nameof(previous))
                : GaussianTransition.PosteriorMean(level, previous);
    }
}
