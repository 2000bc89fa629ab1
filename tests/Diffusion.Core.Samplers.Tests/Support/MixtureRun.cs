using Diffusion.Core.Models;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using MathNet.Numerics.Distributions;
using MathNet.Numerics.RootFinding;
using static TorchSharp.torch;

namespace Diffusion.Core.Samplers.Tests.Support;

/// <summary>
/// One run of a solver from sigma / alpha 10 to .05 in 50 steps, evenly in log-SNR, on the exact denoiser of the mixture of Gaussians.
/// </summary>
internal static class MixtureRun
{
    public const double First = 10.0;
    public const double Last = 0.05;
    private const int Steps = 50;

    /// <summary>Whether a schedule has all of the noise levels.</summary>
    public static bool Covers(INoiseSchedule schedule)
        => schedule.LevelAt(schedule.MinTime).NoiseToSignalRatio <= Last && schedule.LevelAt(schedule.MaxTime).NoiseToSignalRatio >= First;

    /// <summary>Whether a prediction is defined on a schedule: the mean of the previous step needs steps.</summary>
    public static bool Applies(Prediction prediction, INoiseSchedule schedule)
        => !prediction.IsPosteriorMean || schedule is DiscreteSchedule { IsRespaced: false };

    /// <summary>[n] the quantiles of the mixture with noise of a given sigma, at (i + 1/2) / n.</summary>
    public static double[] Quantiles(double sigma, int count)
    {
        var values = new double[count];
        for (var i = 0; i < count; i++)
        {
            var wanted = (i + 0.5) / count;
            values[i] = Brent.FindRoot(x => Distribution(x, sigma) - wanted, -10.0 - (10.0 * sigma), 10.0 + (10.0 * sigma), 1e-12);
        }

        return values;
    }

    private static double Distribution(double x, double sigma)
        => (0.5 * Normal.CDF(-1.0, Spread(0.5, sigma), x)) + (0.3 * Normal.CDF(0.4, Spread(0.4, sigma), x)) + (0.2 * Normal.CDF(1.2, Spread(0.3, sigma), x));

    private static double Spread(double deviation, double sigma) => Math.Sqrt((deviation * deviation) + (sigma * sigma));

    /// <summary>The result in the coordinates of an exploding process, x / alpha.</summary>
    /// <param name="solver">The solver.</param>
    /// <param name="schedule">One that covers the levels.</param>
    /// <param name="prediction">What the network predicts.</param>
    /// <param name="starts">x / alpha at the start, one for each element.</param>
    /// <param name="width">The elements of a sample.</param>
    public static double[] Of(ISolver solver, INoiseSchedule schedule, Prediction prediction, double[] starts, int width = 1)
    {
        var ratios = SigmaSpacing.Exponential().Ratios(Steps + 1, Last, First);
        var end = schedule.LevelAt(schedule.TimeOf(-2.0 * Math.Log(Last)));
        var grid = TimeGrid.FromSigmas(schedule, ratios.AsSpan(0, Steps), end);
        var sampler = new DiffusionSampler(grid, solver, new SamplerOptions { Threshold = Thresholding.None });
        using var initial = tensor(Array.ConvertAll(starts, x => x * grid.Levels[0].Alpha)).reshape(-1, width);
        using var result = sampler.Sample(
            new Network(schedule, prediction).On(schedule, prediction),
            new SamplingRequest { Shape = initial.shape, InitialSample = initial, Seed = 5 },
            cancellationToken: TestContext.Current.CancellationToken);
        return Array.ConvertAll(result.Values(), x => x / end.Alpha);
    }

    /// <summary>The exact network, whatever the schedule tells it for a time, and however the prediction scales its input.</summary>
    private sealed class Network(INoiseSchedule schedule, Prediction prediction) : IDenoiser
    {
        private readonly Dictionary<double, double> _times = [];

        public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
        {
            var told = t.Values()[0];
            if (!_times.TryGetValue(told, out var time))
                _times[told] = time = TimeOf(told);
            var level = schedule.LevelAt(time);
            var previous = schedule is DiscreteSchedule discrete ? discrete.PreviousLevel((int)Math.Round(time)) : level;
            var target = prediction.Target(level, previous);
            var noise = Prediction.EpsilonGivenX0(level);
            var scale = prediction.InputScale?.Invoke(level) ?? 1.0;
            var values = xt.Values();
            for (var i = 0; i < values.Length; i++)
            {
                var x = values[i] / scale;
                var data = ExactDenoiser.Mixture(x, level);
                values[i] = target.Apply(data, noise.Apply(x, data));
            }

            using var flat = tensor(values);
            return flat.reshape(xt.shape).clone();
        }

        /// <summary>The time that the network is told <paramref name="told"/> at, by bisection.</summary>
        private double TimeOf(double told)
        {
            if (told >= schedule.MinTime && told <= schedule.MaxTime && schedule.ModelTimestep(told) == told)
                return told;
            var (low, high) = (schedule.MinTime, schedule.MaxTime);
            for (var i = 0; i < 80; i++)
            {
                var middle = 0.5 * (low + high);
                (low, high) = schedule.ModelTimestep(middle) < told ? (middle, high) : (low, middle);
            }

            return high;
        }
    }
}
