using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The schedulers whose timesteps are indices of the trained schedule: DDPM, DDIM, inverse DDIM and unCLIP. A step of DDIM goes down
/// by T div N indices, even if the next timestep of the grid is another index.
/// </summary>
internal static class IndexSchedulers
{
    /// <summary>Creates the sampler of DDPMScheduler: ancestral sampling.</summary>
    public static DiffusersSampler Ddpm(SchedulerConfig config, SchedulerCall call)
    {
        var grid = IndexGrid(config, call, TrainedSchedule.Of(config));

        // diffusers omits the noise only at index 0. If the grid ends above index 0, the last step has a variance of 1e-20.
        if (grid.Times[^1] > 0.0)
            grid = grid.WithFinalLevel(new NoiseLevel(1.0, 1e-10));
        return MappedOptions.Sampler(config, grid, new AncestralSolver(Variance(config)));
    }

    /// <summary>Creates the sampler of DDIMScheduler.</summary>
    public static DiffusersSampler Ddim(SchedulerConfig config, SchedulerCall call)
    {
        var schedule = TrainedSchedule.Of(config);
        var grid = IndexGrid(config, call, schedule);
        var final = config.Flag("set_alpha_to_one", true) ? NoiseLevel.Clean : schedule.LevelAt(0);
        var stride = schedule.Steps / grid.Count;
        var targets = new NoiseLevel[grid.Count];
        for (var k = 0; k < targets.Length; k++)
        {
            var target = grid.Times[k] - stride;
            targets[k] = target < 0 ? final : schedule.LevelAt(target);
        }

        var solver = TargetedSolver.Over(grid, new DdimSolver(call.Eta ?? 0.0), targets);
        return MappedOptions.Sampler(config, grid.WithFinalLevel(targets[^1]), solver, call.UseClippedModelOutput);
    }

    /// <summary>
    /// Creates the sampler of DDIMInverseScheduler, which goes from data to noise. The network receives the timestep at the end of
    /// each step.
    /// </summary>
    public static DiffusersSampler DdimInverse(SchedulerConfig config, SchedulerCall call)
    {
        var schedule = TrainedSchedule.Of(config);
        var first = config.Flag("set_alpha_to_one", true) ? NoiseLevel.Clean : schedule.LevelAt(0);
        var times = IndexGrid(config, call, schedule).Times.ToArray();
        Array.Reverse(times);
        var stride = schedule.Steps / times.Length;
        var targets = Array.ConvertAll(times, schedule.LevelAt);
        NoiseLevel[] levels = [.. times.Select(time => time < stride ? first : schedule.LevelAt(time - stride)), targets[^1]];
        var grid = new TimeGrid(schedule, times, levels);
        var solver = TargetedSolver.Over(grid, new DdimSolver(), targets);
        return MappedOptions.Sampler(config, grid, solver, rederiveNoise: false);
    }

    /// <summary>
    /// Creates the sampler of UnCLIPScheduler: DDPM at N timesteps from T - 1 to 0, where each step goes down by only one index.
    /// </summary>
    public static DiffusersSampler UnClip(SchedulerConfig config, SchedulerCall call)
    {
        call.Reject(config, timesteps: true, sigmas: true);
        var schedule = TrainedSchedule.Rounded(DiscreteSchedule.Cosine(TrainedSchedule.Steps(config)));
        var grid = TimeSpacing.Linspace.CreateGrid(schedule, call.Count());
        var targets = new NoiseLevel[grid.Count];
        for (var k = 0; k < targets.Length; k++)
            targets[k] = schedule.PreviousLevel((int)grid.Times[k]);
        var solver = TargetedSolver.Over(grid, new AncestralSolver(Variance(config, "fixed_small_log")), targets);
        return MappedOptions.Sampler(config, grid, solver);
    }

    /// <summary>Returns the settings of a DDPMScheduler.</summary>
    public static JsonObject Describe(DiffusionModel model, DiscreteSchedule schedule)
    {
        var range = model.DataRange ?? DataRange.Images;
        if (range.IsBounded && range.Min != -range.Max)
            throw new NotSupportedException(Invariant($"diffusers only clips to ranges that are symmetric around 0, got {range}."));
        var settings = new JsonObject
        {
            ["_class_name"] = "DDPMScheduler",
            ["num_train_timesteps"] = schedule.Steps,
            ["trained_betas"] = ConfigJson.List(schedule.Betas.ToArray()),
            ["prediction_type"] = MappedOptions.TypeOf(model.Prediction),
            ["variance_type"] = model.LearnsVariance ? "learned_range" : "fixed_small",
            ["clip_sample"] = range.IsBounded,
        };
        if (range.IsBounded)
            settings["clip_sample_range"] = range.Max;
        return settings;
    }

    /// <summary>Returns the grid of the DDPM, DDIM and PNDM schedulers.</summary>
    public static TimeGrid IndexGrid(SchedulerConfig config, SchedulerCall call, DiscreteSchedule schedule)
    {
        var count = call.Count();
        if (call.Timesteps is { } times)
            return new TimeGrid(schedule, [.. times]);
        if (call.Sigmas is not null)
            throw new NotSupportedException($"{config.ClassName} supports custom timesteps, but not custom sigmas.");
        var spacing = config.Text("timestep_spacing", "leading");
        if (spacing == "linspace" && count == 1)
            return new TimeGrid(schedule, [0.0]); // numpy.linspace with one point returns the start.
        TimeSpacing chosen = spacing switch
        {
            "leading" => TimeSpacing.Leading(config.Whole("steps_offset", 0)),
            "trailing" => TimeSpacing.Trailing,
            "linspace" => TimeSpacing.Linspace,
            _ => throw config.Unknown("timestep_spacing", spacing),
        };
        return chosen.CreateGrid(schedule, count);
    }

    /// <summary>Returns the variance of a step.</summary>
    public static ReverseVariance Variance(SchedulerConfig config, string missing = "fixed_small")
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

/// <summary>
/// A one-step method whose steps end at other levels than those at which the next steps start, as in some schedulers of diffusers.
/// Their results can only be reproduced in this way.
/// </summary>
internal sealed class TargetedSolver : ISolver
{
    private readonly ISolver _solver;
    private readonly NoiseLevel[] _targets;

    private TargetedSolver(ISolver solver, NoiseLevel[] targets) => (_solver, _targets) = (solver, targets);

    /// <summary>
    /// Returns a solver whose steps end at the given targets: <paramref name="solver"/> itself if each target but the last is the next
    /// level of the grid.
    /// </summary>
    public static ISolver Over(TimeGrid grid, ISolver solver, NoiseLevel[] targets)
    {
        for (var k = 0; k + 1 < targets.Length; k++)
        {
            if (targets[k] != grid.Levels[k + 1])
                return new TargetedSolver(solver, targets);
        }

        return solver;
    }

    public Tensor Step(SolverStep step)
    {
        using var targeted = step.Towards(_targets[step.Index]);
        return _solver.Step(targeted);
    }
}
