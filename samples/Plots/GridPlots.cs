using Diffusion.Core.Data;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Plots;

/// <summary>Plots the noise levels of the time grids.</summary>
internal static class GridPlots
{
    private const int Steps = 20;

    public static void Save(string folder)
    {
        var trained = DiscreteSchedule.ScaledLinear();
        (string Name, INoiseSchedule Schedule, TimeSpacing Spacing)[] grids =
        [
            ("Trailing", trained, TimeSpacing.Trailing),
            ("Leading(1)", trained, TimeSpacing.Leading(1)),
            ("Linspace", trained, TimeSpacing.Linspace),
            ("Beta", trained, SigmaSpacing.Beta()),
            ("Karras", trained, SigmaSpacing.Karras()),
            ("Exponential", trained, SigmaSpacing.Exponential()),
            ("Quadratic", trained, ScheduleTimeSpacing.Quadratic()),
            ("Karras on EdmSchedule", new EdmSchedule(), SigmaSpacing.Karras()),
            ("Uniform on a straight line", new RectifiedFlowSchedule(), ScheduleTimeSpacing.Uniform()),
            ("Shifted(3) on a straight line", new RectifiedFlowSchedule(), ScheduleTimeSpacing.Shifted(3.0)),
            ("AlignYourSteps, SD 1.5", trained, AlignYourSteps.StableDiffusion15),
        ];
        LineChart.SaveSvg(
            Path.Combine(folder, "grids.svg"),
            [.. grids.Select(one => Line(one.Name, one.Spacing.CreateGrid(one.Schedule, Steps)))],
            new LineChartOptions
            {
                Title = $"Time grids of {Steps} steps; on ScaledLinear by default",
                XLabel = "step",
                YLabel = "sigma / alpha at its start",
                LogScale = true,
            });
    }

    /// <summary>
    /// Creates the line of a grid. The logarithmic axis cannot show the final level, which has no noise, or a first level without signal.
    /// </summary>
    private static LineSeries Line(string name, TimeGrid grid)
    {
        var steps = Enumerable.Range(0, grid.Count).ToArray();
        return new LineSeries(name, [.. steps.Select(k => (double)k)], [.. steps.Select(k => grid.Levels[k].NoiseToSignalRatio)]) { HasMarkers = true };
    }
}
