using Diffusion.Core.Samplers;

namespace Diffusion.Core.Interop;

/// <summary>PNDM, with Runge and Kutta's start or the second call of PLMS. It extrapolates what the network predicts, eps or v.</summary>
internal sealed class PndmMapping : ISchedulerMapping
{
    public string ClassName => "PNDMScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var schedule = TrainedSchedule.Of(config);
        var skipsRungeKutta = config.Flag("skip_prk_steps", false);
        var options = MappedOptions.Of(config);
        var grid = DdpmMapping.IndexGrid(config, call, schedule);
        if (!config.Flag("set_alpha_to_one", false))
            grid = grid.WithFinalLevel(schedule.LevelAt(0));
        return new(new DiffusionSampler(
            skipsRungeKutta ? grid.WithTrapezoidStart() : grid.WithRungeKuttaStart(),
            new PndmSolver(rungeKuttaStart: !skipsRungeKutta, options.Prediction),
            options));
    }
}
