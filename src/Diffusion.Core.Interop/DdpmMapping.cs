using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>Ancestral sampling.</summary>
internal sealed class DdpmMapping : ISchedulerMapping
{
    public string ClassName => "DDPMScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        var grid = IndexGrid(config, call, TrainedSchedule.Of(config));

        // diffusers leaves the noise out at index 0 only: on a grid that ends above it, the last step has a variance of 1e-20.
        if (grid.Times[^1] > 0.0)
            grid = grid.WithFinalLevel(new NoiseLevel(1.0, 1e-10));
        return new DiffusersSampler(new DiffusionSampler(grid, new AncestralSolver(Variance(config)), MappedOptions.Of(config, clips: true)));
    }

    /// <summary>The grid of the schedulers that walk indices as they are: DDPM and DDIM.</summary>
    public static TimeGrid IndexGrid(SchedulerConfig config, SchedulerCall call, DiscreteSchedule schedule)
    {
        var count = call.Count();
        if (call.Timesteps is { } times)
            return new TimeGrid(schedule, [.. times]);
        if (call.Sigmas is not null)
            throw new NotSupportedException($"{config.ClassName} takes times, not sigmas.");
        var spacing = config.Text("timestep_spacing", "leading");
        if (spacing == "linspace" && count == 1)
            return new TimeGrid(schedule, [0.0]); // numpy's linspace of one point is its start.
        ITimeSpacing chosen = spacing switch
        {
            "leading" => TimeSpacing.Leading(config.Whole("steps_offset", 0)),
            "trailing" => TimeSpacing.Trailing,
            "linspace" => TimeSpacing.Linspace,
            _ => throw config.Unknown("timestep_spacing", spacing),
        };
        return chosen.CreateGrid(schedule, count);
    }

    /// <summary>The variance of a step.</summary>
    public static IReverseVariance Variance(SchedulerConfig config, string missing = "fixed_small")
    {
        var kind = config.Text("variance_type", missing);
        return kind switch
        {
            "fixed_small" or "fixed_small_log" => ReverseVariance.FixedSmall,
            "fixed_large" or "fixed_large_log" => ReverseVariance.FixedLarge,
            "learned_range" => ReverseVariance.LearnedRange,
            _ => throw config.Unknown("variance_type", kind),
        };
    }
}
