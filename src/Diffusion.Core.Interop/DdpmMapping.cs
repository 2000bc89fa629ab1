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
        return new DiffusersSampler(new DiffusionSampler(
            grid, new AncestralSolver(Variance(config, grid.Times[^1] == 0.0)), MappedOptions.Of(config, clips: true)));
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
        ITimeSpacing chosen = spacing switch
        {
            "leading" => TimeSpacing.Leading(config.Whole("steps_offset", 0)),
            "trailing" => TimeSpacing.Trailing,
            "linspace" => TimeSpacing.Linspace,
            _ => throw config.Unknown("timestep_spacing", spacing),
        };
        return chosen.CreateGrid(schedule, count);
    }

    private static IReverseVariance Variance(SchedulerConfig config, bool endsAtFirstIndex)
    {
        var kind = config.Text("variance_type", "fixed_small");
        return kind switch
        {
            "fixed_small" or "fixed_small_log" => ReverseVariance.FixedSmall,
            "fixed_large" or "fixed_large_log" => endsAtFirstIndex ? ReverseVariance.FixedLarge : new FixedLargeToTheEnd(),
            "learned_range" => ReverseVariance.LearnedRange,
            _ => throw config.Unknown("variance_type", kind),
        };
    }

    /// <summary>diffusers leaves the noise out at index 0 only: a grid that ends above it is given beta once more.</summary>
    private sealed class FixedLargeToTheEnd : IReverseVariance
    {
        public string Name => "fixed-large-to-the-end";

        public LinearPair LogVariance(ReverseTransition transition) => new(Math.Log(Variance(transition)), 0.0);

        public double Variance(ReverseTransition transition) => transition.ForwardVariance;
    }
}
