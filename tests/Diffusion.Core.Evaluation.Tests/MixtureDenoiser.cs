using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Evaluation.Tests;

/// <summary>
/// The exact denoiser of data whose elements are independent draws from a mixture of Gaussians, made of tensor operators so that it has
/// gradients, in the form of any prediction.
/// </summary>
internal sealed class MixtureDenoiser(
    INoiseSchedule schedule, Prediction prediction, double[] weights, double[] means, double[] deviations) : IDenoiser
{
    /// <summary>The mixture of the convergence table.</summary>
    public static MixtureDenoiser OfTable(INoiseSchedule schedule, Prediction prediction)
        => new(schedule, prediction, [0.5, 0.3, 0.2], [-1.0, 0.4, 1.2], [0.5, 0.4, 0.3]);

    public static MixtureDenoiser Gaussian(INoiseSchedule schedule, Prediction prediction, double mean, double deviation)
        => new(schedule, prediction, [1.0], [mean], [deviation]);

    public int Calls { get; private set; }

    /// <summary>The denoiser on its schedule, with its prediction.</summary>
    public DiffusionModel Model => new(this, schedule, prediction);

    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
    {
        Calls++;
        var level = schedule.LevelAt(t.Values().Distinct().Single());
        var x = xt.mul(1.0 / (prediction.InputScale?.Invoke(level) ?? 1.0));
        var (logits, answers) = (new Tensor[weights.Length], new Tensor[weights.Length]);
        for (var i = 0; i < weights.Length; i++)
        {
            var variance = Spread(level, i);
            var centred = x.sub(level.Alpha * means[i]);
            logits[i] = centred.square().mul(-0.5 / variance).add(Math.Log(weights[i]) - (0.5 * Math.Log(variance)));
            answers[i] = centred.mul(level.Alpha * deviations[i] * deviations[i] / variance).add(means[i]);
        }

        var data = stack(logits, 0).softmax(0).mul(stack(answers, 0)).sum(0L);
        var noise = x.sub(data.mul(level.Alpha)).mul(1.0 / level.Sigma);
        var target = prediction.Target(level, level);
        return data.mul(target.First).add(noise.mul(target.Second));
    }

    /// <summary>log of the density of x_t, summed over the elements of a sample.</summary>
    public double LogDensity(NoiseLevel level, IEnumerable<double> x)
        => x.Sum(value => Math.Log(
            weights.Select((weight, i) => weight * Density(value - (level.Alpha * means[i]), Spread(level, i))).Sum()));

    private static double Density(double distance, double variance)
        => Math.Exp(-0.5 * distance * distance / variance) / Math.Sqrt(2.0 * Math.PI * variance);

    private double Spread(NoiseLevel level, int i) => Math.Pow(level.Alpha * deviations[i], 2.0) + Math.Pow(level.Sigma, 2.0);
}
