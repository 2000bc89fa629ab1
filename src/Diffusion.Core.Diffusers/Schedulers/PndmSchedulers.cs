using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>The PNDM and iPNDM schedulers.</summary>
internal static class PndmSchedulers
{
    /// <summary>
    /// Creates the sampler of PNDMScheduler, which starts with Runge-Kutta steps (PRK) or, with <c>skip_prk_steps</c>, with a second
    /// network call (PLMS). It extrapolates the output of the network, eps or v.
    /// </summary>
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

    /// <summary>
    /// Creates the sampler of IPNDMScheduler, which uses its own noise schedule and assumes that the network predicts v.
    /// </summary>
    public static DiffusersSampler Ipndm(SchedulerConfig config, SchedulerCall call)
    {
        call.Reject(config, timesteps: true, sigmas: true);
        if (config.Numbers("trained_betas") is not null)
            throw new NotSupportedException($"{config.ClassName} with trained_betas is not supported.");
        var options = new SamplerOptions { Threshold = Thresholding.None };
        return new(new DiffusionSampler(IpndmGrid.Create(call.Count()), new PndmSolver(), options), new FromNoise());
    }

    /// <summary>
    /// Throws an exception unless the timesteps are T div N apart. In diffusers, each step goes down by T div N, whatever the next
    /// timestep is, so that on other grids a step would not end at the level where the next one starts.
    /// </summary>
    private static void RequireEvenSteps(SchedulerConfig config, TimeGrid grid, int stride)
    {
        for (var k = 1; k < grid.Count; k++)
        {
            if (grid.Times[k - 1] - grid.Times[k] != stride)
                throw new NotSupportedException(
                    Invariant($"{config.ClassName} with timestep_spacing '{config.Text("timestep_spacing", "leading")}' and ")
                    + Invariant($"{grid.Count} steps is not ")
                    + Invariant($"supported: its times must be {stride} apart, got {grid.Times[k - 1]} and {grid.Times[k]}."));
        }
    }

    /// <summary>
    /// Replaces the midpoints of the Runge-Kutta steps by those of diffusers. The first of the two midpoints of a step is half a
    /// stride below its start, and the second one is half a stride above its end. Half a stride is rounded down, so that the two are
    /// one index apart if the stride is odd.
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
    /// The velocity prediction of IPNDMScheduler, which computes x_0 from eps with a division by alpha. At the start of the grid,
    /// where alpha is 0, diffusers avoids a division by zero, and x_0 is 0, although v determines it.
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
