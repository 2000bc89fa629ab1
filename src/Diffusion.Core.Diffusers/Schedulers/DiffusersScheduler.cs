using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// Samplers from diffusers' scheduler configurations:
/// <c>DiffusersScheduler.CreateSampler(SchedulerConfig.Read("scheduler/scheduler_config.json"), steps: 50)</c> walks the same times, at the
/// same noise levels, by the same formulas.
/// </summary>
public static class DiffusersScheduler
{
    private static readonly Dictionary<string, Func<SchedulerConfig, SchedulerCall, DiffusersSampler>> _classes = new(StringComparer.Ordinal)
    {
        ["CMStochasticIterativeScheduler"] = DistilledSchedulers.Consistency,
        ["DDIMInverseScheduler"] = IndexSchedulers.DdimInverse,
        ["DDIMScheduler"] = IndexSchedulers.Ddim,
        ["DDPMScheduler"] = IndexSchedulers.Ddpm,
        ["DEISMultistepScheduler"] = DpmSchedulers.Deis,
        ["DPMSolverMultistepInverseScheduler"] = DpmSchedulers.MultistepInverse,
        ["DPMSolverMultistepScheduler"] = DpmSchedulers.Multistep,
        ["DPMSolverSinglestepScheduler"] = DpmSchedulers.Singlestep,
        ["EDMDPMSolverMultistepScheduler"] = EdmSchedulers.DpmMultistep,
        ["EDMEulerScheduler"] = EdmSchedulers.Euler,
        ["EulerAncestralDiscreteScheduler"] = SigmaSchedulers.EulerAncestral,
        ["EulerDiscreteScheduler"] = SigmaSchedulers.Euler,
        ["FlowMatchEulerDiscreteScheduler"] = FlowSchedulers.Euler,
        ["FlowMatchHeunDiscreteScheduler"] = FlowSchedulers.Heun,
        ["HeunDiscreteScheduler"] = SigmaSchedulers.Heun,
        ["IPNDMScheduler"] = PndmSchedulers.Ipndm,
        ["KDPM2AncestralDiscreteScheduler"] = SigmaSchedulers.Dpm2Ancestral,
        ["KDPM2DiscreteScheduler"] = SigmaSchedulers.Dpm2,
        ["LCMScheduler"] = DistilledSchedulers.Lcm,
        ["LMSDiscreteScheduler"] = SigmaSchedulers.Lms,
        ["PNDMScheduler"] = PndmSchedulers.Pndm,
        ["SASolverScheduler"] = DpmSchedulers.Sa,
        ["TCDScheduler"] = DistilledSchedulers.Tcd,
        ["UnCLIPScheduler"] = IndexSchedulers.UnClip,
        ["UniPCMultistepScheduler"] = DpmSchedulers.UniPc,
    };

    /// <summary>The classes of schedulers that are known, in ordinal order.</summary>
    public static IEnumerable<string> ClassNames => _classes.Keys.Order(StringComparer.Ordinal);

    /// <summary>The sampler of a configuration.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="steps">N, the number of inference steps.</param>
    /// <exception cref="NotSupportedException">The class, or a setting, is not known.</exception>
    /// <exception cref="InvalidDataException">A setting has the wrong type.</exception>
    /// <exception cref="ArgumentException">The settings do not fit together.</exception>
    public static DiffusionSampler CreateSampler(SchedulerConfig config, int steps) => Create(config, new SchedulerCall { Steps = steps }).Sampler;

    /// <summary>The sampler of a configuration and of the arguments of a call.</summary>
    /// <inheritdoc cref="CreateSampler" path="/exception"/>
    public static DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(call);
        return _classes.TryGetValue(config.ClassName, out var create)
            ? create(config, call)
            : throw new NotSupportedException($"The scheduler '{config.ClassName}' is not known; there are: {string.Join(", ", ClassNames)}.");
    }

    /// <summary>The noise schedule of a configuration, as the network was trained with it.</summary>
    /// <inheritdoc cref="CreateSampler" path="/exception"/>
    public static DiscreteSchedule CreateSchedule(SchedulerConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return TrainedSchedule.Of(config);
    }
}

/// <summary>A diffusers scheduler as a sampler of this library.</summary>
/// <param name="Sampler">Grid, solver and options.</param>
/// <param name="IsExploding">
/// True where diffusers' own samples are x / alpha, as its Euler, Heun, DPM2 and LMS schedulers keep them. Here the same trajectory runs
/// in the coordinates of the schedule: divide by <c>SamplerState.Level.Alpha</c> to compare.
/// </param>
public sealed record DiffusersSampler(DiffusionSampler Sampler, bool IsExploding = false);
