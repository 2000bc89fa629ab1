namespace Diffusion.Core.Schedules;

public abstract partial class Prediction
{
    private sealed class EpsilonPrediction : Prediction
    {
        public override string Name => "epsilon";

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => new(1.0 / level.Alpha, -level.Sigma / level.Alpha);

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);
    }

    private sealed class DataPrediction : Prediction
    {
        public override string Name => "x0";

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(1.0, 0.0);

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => new(0.0, 1.0);

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => EpsilonGivenX0(level);
    }

    private sealed class VelocityPrediction : Prediction
    {
        public override string Name => "velocity";

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(-level.Sigma, level.Alpha);

        // Because of the division, the inverse is also exact for processes that are not variance preserving.
        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
        {
            var norm = (level.Alpha * level.Alpha) + (level.Sigma * level.Sigma);
            return new LinearPair(level.Alpha / norm, -level.Sigma / norm);
        }

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
        {
            var norm = (level.Alpha * level.Alpha) + (level.Sigma * level.Sigma);
            return new LinearPair(level.Sigma / norm, level.Alpha / norm);
        }
    }

    private sealed class ScorePrediction : Prediction
    {
        public override string Name => "score";

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(0.0, -1.0 / level.Sigma);

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous) => new(1.0 / level.Alpha, level.Sigma * level.Sigma / level.Alpha);

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => new(0.0, -level.Sigma);
    }

    private sealed class FlowVelocityPrediction : Prediction
    {
        public override string Name => "flow-velocity";

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(-1.0, 1.0);

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
            => new(1.0 / (level.Alpha + level.Sigma), -level.Sigma / (level.Alpha + level.Sigma));

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
            => new(1.0 / (level.Alpha + level.Sigma), level.Alpha / (level.Alpha + level.Sigma));
    }

    private sealed class PreviousMeanPrediction : Prediction
    {
        public override string Name => "previous-mean";

        public override bool IsPosteriorMean => true;

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous)
        {
            var posterior = Posterior(level, previous);
            return new LinearPair(
                posterior.First + (posterior.Second * level.Alpha),
                posterior.Second * level.Sigma);
        }

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
        {
            var posterior = Posterior(level, previous);
            return new LinearPair(-posterior.Second / posterior.First, 1.0 / posterior.First);
        }

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
        {
            var data = ToX0(level, previous);
            var noise = EpsilonGivenX0(level);
            return new LinearPair(noise.First + (noise.Second * data.First), noise.Second * data.Second);
        }

        private static LinearPair Posterior(NoiseLevel level, NoiseLevel previous)
            => level == previous
                ? throw new ArgumentException(
                    "The previous mean requires a discrete schedule; a continuous schedule has no previous step.", nameof(previous))
                : GaussianTransition.PosteriorMean(level, previous);
    }
}
