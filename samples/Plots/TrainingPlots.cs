using Diffusion.Core.Data;
using Diffusion.Core.Losses;
using Diffusion.Core.Schedules;

namespace Plots;

/// <summary>Plots loss weightings, and densities of the training times, over the log-SNR.</summary>
internal static class TrainingPlots
{
    private const double Range = 10.0;
    private const double Least = 1e-3;

    public static void Save(string folder)
    {
        SaveWeightings(folder);
        SaveTimesteps(folder);
    }

    private static void SaveWeightings(string folder)
    {
        // Curves that partly coincide with others are listed last, so that they are drawn dashed.
        Draw(
            folder,
            "weightings.svg",
            "What an error in x_0 weighs",
            ("Snr; None with eps", LossWeighting.Snr, Prediction.Epsilon),
            ("None with x_0", LossWeighting.None, Prediction.X0),
            ("MinSnr(5)", LossWeighting.MinSnr(), Prediction.Epsilon),
            ("P2(1, 1)", LossWeighting.P2(), Prediction.Epsilon),
            ("Debiased", LossWeighting.Debiased, Prediction.Epsilon),
            ("Edm(0.5)", LossWeighting.Edm(), Prediction.Epsilon),
            ("Sigmoid(-3)", LossWeighting.Sigmoid(-3.0), Prediction.Epsilon),
            ("SoftMinSnr(4)", LossWeighting.SoftMinSnr(), Prediction.Epsilon),
            ("TruncatedSnr", LossWeighting.TruncatedSnr, Prediction.Epsilon),
            ("None with v", LossWeighting.None, Prediction.Velocity));
        Draw(
            folder,
            "flow-weightings.svg",
            "What an error in x_0 weighs in flow matching",
            ("SigmaSqrt; None with the velocity", FlowWeighting.SigmaSqrt, Prediction.FlowVelocity),
            ("CosMap", FlowWeighting.CosMap, Prediction.FlowVelocity),
            ("LogitNormal(0, 1)", FlowWeighting.LogitNormal(), Prediction.FlowVelocity),
            ("Mode(1.29)", FlowWeighting.Mode(), Prediction.FlowVelocity));
    }

    private static void Draw(
        string folder, string file, string title, params (string Name, LossWeighting Weighting, Prediction Prediction)[] weightings)
        => LineChart.SaveSvg(
            Path.Combine(folder, file),
            [.. weightings.Select(one =>
                Curve.Of(one.Name, logSnr => DataWeight(one.Weighting, one.Prediction, logSnr), -Range, Range, low: 1e-4))],
            new LineChartOptions
            {
                Title = title,
                XLabel = "log-SNR",
                YLabel = "weight of the squared error in x_0",
                LogScale = true,
            });

    /// <summary>Converts the weight of the squared error in the output to that of the squared error in x_0.</summary>
    private static double DataWeight(LossWeighting weighting, Prediction prediction, double logSnr)
    {
        var snr = Math.Exp(logSnr);
        var level = new NoiseLevel(Math.Sqrt(snr / (1.0 + snr)), Math.Sqrt(1.0 / (1.0 + snr)));
        var slope = prediction.ToX0(level, level).Second;
        return weighting.Weight(level, level, prediction) / (slope * slope);
    }

    private static void SaveTimesteps(string folder)
    {
        var cosine = new CosineLogSnrSchedule();
        var straight = new RectifiedFlowSchedule();
        (string Name, TimeDistribution Distribution, INoiseSchedule Schedule)[] distributions =
        [
            ("Uniform, linear VP", TimeDistribution.Uniform, new LinearVpSchedule()),
            ("Uniform, cosine", TimeDistribution.Uniform, cosine),
            ("Uniform, straight line", TimeDistribution.Uniform, straight),
            ("UniformLogSnr, EDM", TimeDistribution.UniformLogSnr, new EdmSchedule()),
            ("LogNormal(-1.2, 1.2)", TimeDistribution.LogNormal(), cosine),
            ("Laplace(0, 0.5)", TimeDistribution.Laplace(), cosine),
            ("CosineInterpolated(256)", TimeDistribution.CosineInterpolated(256.0), cosine),
            ("LogitNormal(0, 1), straight line", TimeDistribution.LogitNormal(), straight),
            ("Mode(1.29), straight line", TimeDistribution.Mode(), straight),
            ("CosMap, straight line", TimeDistribution.CosMap, straight),
        ];
        LineChart.SaveSvg(
            Path.Combine(folder, "timesteps.svg"),
            [.. distributions.Select(one => Density(one.Name, one.Distribution, one.Schedule))],
            new LineChartOptions
            {
                Title = "Where training times lie",
                XLabel = "log-SNR",
                YLabel = "density",
                LogScale = true,
            });
    }

    /// <summary>Estimates the density of the log-SNR as the reciprocal of the distance between consecutive quantiles.</summary>
    private static LineSeries Density(string name, TimeDistribution distribution, INoiseSchedule schedule)
    {
        const int Quantiles = 1000;
        var points = new List<(double X, double Y)>();
        var before = double.NaN;
        for (var i = 1; i < Quantiles; i++)
        {
            var logSnr = schedule.LogSnr(distribution.Quantile(schedule, (double)i / Quantiles));
            var density = 1.0 / (Quantiles * (before - logSnr));
            var between = 0.5 * (before + logSnr);
            if (before > logSnr && between is >= -Range and <= Range && density >= Least)
                points.Add((between, density));
            before = logSnr;
        }

        points.Reverse();
        return new LineSeries(name, [.. points.Select(point => point.X)], [.. points.Select(point => point.Y)]);
    }
}
