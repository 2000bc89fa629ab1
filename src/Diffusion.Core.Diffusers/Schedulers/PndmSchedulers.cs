using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>PNDM and iPNDM.</summary>
internal static class PndmSchedulers
{
    /// <summary>PNDMScheduler, with Runge and Kutta's start or the second call of PLMS. It extrapolates what the network predicts, eps or v.</summary>
    public static DiffusersSampler Pndm(SchedulerConfig config, SchedulerCall call)
    {
        var schedule = TrainedSchedule.Of(config);
        var skipsRungeKutta = config.Flag("skip_prk_steps", false);
        var grid = IndexSchedulers.IndexGrid(config, call, schedule);
        RequireEvenSteps(config, grid, schedule.Steps / grid.Count);
        if (!config.Flag("set_alpha_to_one", false))
            grid = grid.WithFinalLevel(schedule.LevelAt(0));
        return MappedOptions.Sampler(
            config,
            skipsRungeKutta ? grid.WithTrapezoidStart() : WithRungeKuttaStart(grid, schedule),
            new PndmSolver(MappedOptions.PredictionOf(config)) { RungeKuttaStart = !skipsRungeKutta });
    }

    /// <summary>IPNDMScheduler, which has its own process and assumes that the network predicts v.</summary>
    public static DiffusersSampler Ipndm(SchedulerConfig config, SchedulerCall call)
        => config.Numbers("trained_betas") is not null
            ? throw new NotSupportedException($"{config.ClassName} with trained_betas is not supported.")
            : new(
                new DiffusionSampler(
                    IpndmGrid.Create(call.Count()), new PndmSolver(), new SamplerOptions { Threshold = Thresholding.None }),
                new FromNoise());

    /// <summary>
    /// diffusers steps down by T div N, wherever the next time lies, so that on other grids its steps do not lead to where the next one is
    /// taken to start.
    /// </summary>
    private static void RequireEvenSteps(SchedulerConfig config, TimeGrid grid, int stride)
    {
        for (var k = 1; k < grid.Count; k++)
        {
            if (grid.Times[k - 1] - grid.Times[k] != stride)
                throw new NotSupportedException(
                    $"{config.ClassName} with timestep_spacing '{config.Text("timestep_spacing", "leading")}' and {grid.Count} steps is not "
                    + $"supported: its times must be {stride} apart, got {grid.Times[k - 1]} and {grid.Times[k]}.");
        }
    }

    /// <summary>
    /// The first call of each of Runge and Kutta's steps goes down by half a stride, the second up to half a stride above the end; where the
    /// stride is odd, these two are one index apart.
    /// </summary>
    private static TimeGrid WithRungeKuttaStart(TimeGrid grid, DiscreteSchedule schedule)
    {
        var half = schedule.Steps / grid.Count / 2;
        var start = grid.WithRungeKuttaStart();
        var (times, levels) = (start.Times.ToArray(), start.Levels.ToArray());
        for (var k = 0; k < 3; k++)
        {
            times[(4 * k) + 1] = times[(4 * k) + 2] = grid.Times[k + 1] + half;
            levels[(4 * k) + 1] = schedule.LevelAt(grid.Times[k] - half);
            levels[(4 * k) + 2] = schedule.LevelAt(grid.Times[k + 1] + half);
        }

        return new TimeGrid(schedule, times, levels);
    }

    /// <summary>
    /// v, whose x_0 is had from eps by a division by alpha. Without signal, at the start of the grid, diffusers' guard against a division
    /// by zero gives zero, where v itself determines it.
    /// </summary>
    private sealed class FromNoise : Prediction
    {
        public override string Name => "velocity-by-noise";

        public override LinearPair Target(NoiseLevel level, NoiseLevel previous) => Prediction.Velocity.Target(level, previous);

        public override LinearPair ToX0(NoiseLevel level, NoiseLevel previous)
            => level.Alpha == 0.0 ? new LinearPair(0.0, 0.0) : Prediction.Velocity.ToX0(level, previous);

        public override LinearPair ToEpsilon(NoiseLevel level, NoiseLevel previous) => Prediction.Velocity.ToEpsilon(level, previous);
    }
}
