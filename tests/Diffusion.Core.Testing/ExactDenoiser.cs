using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Testing;

/// <summary>
/// The best possible denoiser of a known distribution, each element on its own: E[x_0 | x_t] computed on the host in double precision,
/// then told in the form of a prediction.
/// </summary>
/// <param name="schedule">The schedule whose times it is asked at.</param>
/// <param name="expectedData">E[x_0 | x_t] at a level.</param>
/// <param name="prediction">The form of the answer.</param>
public sealed class ExactDenoiser(INoiseSchedule schedule, Func<double, NoiseLevel, double> expectedData, Prediction prediction) : IDenoiser
{
    /// <summary>The denoiser on its schedule, with its prediction.</summary>
    public DiffusionModel Model => new(this, schedule, prediction);

    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        var time = t.Values().Distinct().Single();
        var level = schedule.LevelAt(time);
        var previous = schedule is DiscreteSchedule discrete ? discrete.PreviousLevel((int)Math.Round(time)) : level;
        var target = prediction.Target(level, previous);
        var noise = Prediction.EpsilonGivenX0(level);
        var values = xt.Values();
        for (var i = 0; i < values.Length; i++)
        {
            var data = expectedData(values[i], level);
            values[i] = (target.First * data) + (target.Second * ((noise.First * values[i]) + (noise.Second * data)));
        }

        using var flat = tensor(values, dtype: xt.dtype);
        return flat.reshape(xt.shape).clone();
    }

    /// <summary>Data from N(mean, deviation^2).</summary>
    public static Func<double, NoiseLevel, double> Gaussian(double mean, double deviation) => (x, level) =>
    {
        var variance = deviation * deviation;
        var gain = level.Alpha * variance / ((level.Alpha * level.Alpha * variance) + (level.Sigma * level.Sigma));
        return mean + (gain * (x - (level.Alpha * mean)));
    };

    /// <summary>The mixture w = (.5, .3, .2), m = (-1, .4, 1.2), s = (.5, .4, .3).</summary>
    public static double Mixture(double x, NoiseLevel level)
    {
        double[] weights = [0.5, 0.3, 0.2], means = [-1.0, 0.4, 1.2], deviations = [0.5, 0.4, 0.3];
        var exponents = new double[weights.Length];
        for (var i = 0; i < weights.Length; i++)
        {
            var spread = Math.Pow(level.Alpha * deviations[i], 2) + (level.Sigma * level.Sigma);
            exponents[i] = Math.Log(weights[i]) - (0.5 * Math.Log(spread)) - (Math.Pow(x - (level.Alpha * means[i]), 2) / (2.0 * spread));
        }

        var largest = exponents.Max();
        var (sum, total) = (0.0, 0.0);
        for (var i = 0; i < weights.Length; i++)
        {
            var weight = Math.Exp(exponents[i] - largest);
            total += weight;
            sum += weight * Gaussian(means[i], deviations[i])(x, level);
        }

        return sum / total;
    }
}
