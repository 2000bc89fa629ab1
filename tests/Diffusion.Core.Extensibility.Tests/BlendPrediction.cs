using Diffusion.Core.Schedules;

namespace Diffusion.Core.Extensibility.Tests;

/// <summary>A custom prediction: 0.6 eps - 0.8 x_0 at every level.</summary>
internal sealed class BlendPrediction : Prediction
{
    private const double OfData = -0.8;
    private const double OfNoise = 0.6;

    public override string Name => "blend";

    public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => new(OfData, OfNoise);

    // x_t = alpha x_0 + sigma eps and output = a x_0 + b eps, solved for the two.
    public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
    {
        var determinant = (level.Alpha * OfNoise) - (level.Sigma * OfData);
        return new LinearPair(OfNoise / determinant, -level.Sigma / determinant);
    }

    public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous)
    {
        var determinant = (level.Alpha * OfNoise) - (level.Sigma * OfData);
        return new LinearPair(-OfData / determinant, level.Alpha / determinant);
    }
}
