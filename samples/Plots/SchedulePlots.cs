using Diffusion.Core.Data;
using Diffusion.Core.Schedules;

namespace Plots;

/// <summary>Plots alpha-bar and the log-SNR of the schedules over time.</summary>
internal static class SchedulePlots
{
    private const double Least = -15.0;
    private const double Most = 15.0;

    // Every fifth step is plotted, which is as fine as the resolution of the chart.
    private const int Stride = 5;

    // Schedules that coincide with another one at T = 1000 are omitted: LinearScaledBySteps equals Linear, and Respaced has the levels of
    // the original schedule.
    private static readonly (string Name, DiscreteSchedule Schedule)[] _discrete =
    [
        ("Linear", DiscreteSchedule.Linear()),
        ("ScaledLinear", DiscreteSchedule.ScaledLinear()),
        ("ScaledLinear, zero terminal SNR", DiscreteSchedule.ScaledLinear().RescaledToZeroTerminalSnr()),
        ("Quadratic", DiscreteSchedule.Quadratic()),
        ("Constant", DiscreteSchedule.Constant()),
        ("Jsd", DiscreteSchedule.Jsd()),
        ("WarmUp, a tenth", DiscreteSchedule.WarmUp(fraction: 0.1)),
        ("WarmUp, a half", DiscreteSchedule.WarmUp(fraction: 0.5)),
        ("SigmoidBeta", DiscreteSchedule.SigmoidBeta()),
        ("SigmoidAlphaBar", DiscreteSchedule.SigmoidAlphaBar()),
        ("Cosine", DiscreteSchedule.Cosine()),
        ("CosineShifted, 256", DiscreteSchedule.CosineShifted(imageSize: 256)),
        ("CosineInterpolated, 256", DiscreteSchedule.CosineInterpolated(imageSize: 256)),
        ("Laplace", DiscreteSchedule.Laplace()),
        ("LaplaceRoot", DiscreteSchedule.LaplaceRoot()),
        ("Exponential", DiscreteSchedule.Exponential()),
    ];

    private static readonly (string Name, INoiseSchedule Schedule)[] _continuous =
    [
        ("LinearVp", new LinearVpSchedule()),
        ("SubVp", new SubVpSchedule()),
        ("CosineLogSnr", new CosineLogSnrSchedule()),
        ("Shifted, 256", ResolutionShiftedSchedule.Shifted(256)),
        ("Interpolated, 256", ResolutionShiftedSchedule.Interpolated(256)),
        ("VarianceExploding", new VarianceExplodingSchedule()),
        ("Edm", new EdmSchedule()),
        ("StraightLine", new RectifiedFlowSchedule()),
        ("StraightLine, shift 3", new RectifiedFlowSchedule(shift: TimestepShift.Static(3.0))),
    ];

    public static void Save(string folder)
    {
        LineChart.SaveSvg(
            Path.Combine(folder, "schedules.svg"),
            [.. _discrete.Select(one => Indexed(one.Name, one.Schedule, t => one.Schedule.AlphaBars[t]))],
            new LineChartOptions
            {
                Title = "What is left of the data: discrete schedules, T = 1000",
                XLabel = "t / T",
                YLabel = "alpha-bar",
            });
        LineChart.SaveSvg(
            Path.Combine(folder, "log-snr.svg"),
            [.. _discrete.Select(one => Indexed(one.Name, one.Schedule, t => Within(one.Schedule.LogSnr(t))))],
            new LineChartOptions
            {
                Title = "log-SNR of the discrete schedules, T = 1000",
                XLabel = "t / T",
                YLabel = "log-SNR",
            });
        LineChart.SaveSvg(
            Path.Combine(folder, "log-snr-continuous.svg"),
            [.. _continuous.Select(one => Curve.Of(one.Name, share => LogSnr(one.Schedule, share), 0.0, 1.0, Least, Most))],
            new LineChartOptions
            {
                Title = "log-SNR of the continuous schedules",
                XLabel = "share of time",
                YLabel = "log-SNR",
            });
    }

    /// <summary>Creates a line with index t at (t + 1) / T, the time at which step t of the process ends.</summary>
    private static LineSeries Indexed(string name, DiscreteSchedule schedule, Func<int, double> value)
    {
        int[] times = [0, .. Enumerable.Range(0, schedule.Steps).Where(t => (t + 1) % Stride == 0)];
        return new LineSeries(name, [.. times.Select(t => (t + 1.0) / schedule.Steps)], [.. times.Select(value)]);
    }

    private static double Within(double logSnr) => logSnr is >= Least and <= Most ? logSnr : double.NaN;

    private static double LogSnr(INoiseSchedule schedule, double share)
        => schedule.LogSnr(Math.Min(schedule.MinTime + (share * (schedule.MaxTime - schedule.MinTime)), schedule.MaxTime));
}
