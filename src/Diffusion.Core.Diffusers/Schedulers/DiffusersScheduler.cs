using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// Creates samplers from scheduler configurations of diffusers, for example
/// <c>DiffusersScheduler.CreateSampler(SchedulerConfig.Read("scheduler/scheduler_config.json"), steps: 50)</c>. The samplers use the
/// same timesteps, noise levels and formulas as diffusers.
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

    // diffusers allows one of them.
    private static readonly string[] _sigmaSpacings = ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"];

    /// <summary>The classes of schedulers that are known, in ordinal order.</summary>
    public static IEnumerable<string> ClassNames => _classes.Keys.Order(StringComparer.Ordinal);

    /// <summary>Creates the sampler of a configuration.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="steps">N, the number of inference steps.</param>
    /// <exception cref="NotSupportedException">The class or a setting is not supported.</exception>
    /// <exception cref="InvalidDataException">A setting has the wrong type.</exception>
    /// <param name="logger">The logger that receives a warning for settings that no scheduler has. The default is none.</param>
    /// <exception cref="ArgumentException">The settings do not fit together.</exception>
    public static DiffusionSampler CreateSampler(SchedulerConfig config, int steps, ILogger? logger = null)
        => Create(config, new SchedulerCall { Steps = steps }, logger).Sampler;

    /// <summary>Creates the sampler of a configuration and of the arguments of a call.</summary>
    /// <inheritdoc cref="CreateSampler" path="/exception"/>
    public static DiffusersSampler Create(SchedulerConfig config, SchedulerCall call, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(call);
        if (!_classes.TryGetValue(config.ClassName, out var create))
            throw Unknown(config);
        var spacings = _sigmaSpacings.Where(name => config.Flag(name, false)).ToArray();
        if (spacings.Length > 1)
            throw new ArgumentException(
                Invariant($"{config.ClassName} can have one of {string.Join(", ", _sigmaSpacings)}, got ")
                + Invariant($"{string.Join(" and ", spacings)}."));
        if (logger is not null && config.UnknownSettings is { Count: > 0 } unknown)
            logger.UnknownSettings("A scheduler configuration", config.ClassName, string.Join(", ", unknown));
        return create(config, call);
    }

    /// <summary>Creates the model of a network that was trained with a scheduler.</summary>
    /// <param name="config">The configuration of the scheduler.</param>
    /// <param name="network">The network. It is not disposed.</param>
    /// <exception cref="NotSupportedException">The class or a setting is not supported.</exception>
    /// <exception cref="InvalidDataException">A setting has the wrong type.</exception>
    public static DiffusionModel CreateModel(SchedulerConfig config, IDenoiser network)
    {
        ArgumentNullException.ThrowIfNull(config);
        if (!_classes.ContainsKey(config.ClassName))
            throw Unknown(config);
        var (schedule, prediction) = config.ClassName switch
        {
            "CMStochasticIterativeScheduler" => DistilledSchedulers.Trained(config),
            "EDMDPMSolverMultistepScheduler" or "EDMEulerScheduler" => EdmSchedulers.Trained(config),
            "FlowMatchEulerDiscreteScheduler" or "FlowMatchHeunDiscreteScheduler" => FlowSchedulers.Trained(config),
            "IPNDMScheduler" => OfGrid(config),
            "EulerDiscreteScheduler" when SigmaSchedulers.IsContinuous(config) => OfGrid(config),
            _ => (TrainedSchedule.Of(config), MappedOptions.PredictionOf(config)),
        };
        return new DiffusionModel(network, schedule, prediction) { LearnsVariance = MappedOptions.LearnsVariance(config) };
    }

    /// <summary>
    /// Returns the configuration of the scheduler with which diffusers samples from a model: the inverse of <see cref="CreateModel"/>.
    /// </summary>
    /// <param name="model">
    /// The model. Its schedule must be a discrete schedule, which is written as a <c>DDPMScheduler</c> with its betas; a
    /// <see cref="RectifiedFlowSchedule"/>, if the model predicts the flow velocity; or an <see cref="EdmSchedule"/>, if it has the
    /// preconditioning of EDM.
    /// </param>
    /// <exception cref="NotSupportedException">diffusers has no scheduler for the schedule or the prediction.</exception>
    public static SchedulerConfig Describe(DiffusionModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var settings = model switch
        {
            { Schedule: DiscreteSchedule { IsRespaced: false } schedule } => IndexSchedulers.Describe(model, schedule),
            { Schedule: RectifiedFlowSchedule schedule } when model.Prediction == Prediction.FlowVelocity => FlowSchedulers.Describe(schedule),
            { Schedule: EdmSchedule schedule } => EdmSchedulers.Describe(model.Prediction, schedule),
            _ => throw new NotSupportedException(
                $"diffusers has no scheduler for {model.Schedule.GetType().Name} and the prediction '{model.Prediction.Name}'."),
        };
        return SchedulerConfig.Of(settings);
    }

    /// <summary>Creates the noise schedule with which the network of a configuration was trained.</summary>
    /// <inheritdoc cref="CreateSampler" path="/exception"/>
    public static DiscreteSchedule CreateSchedule(SchedulerConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return TrainedSchedule.Of(config);
    }

    /// <summary>
    /// Returns the schedule and the prediction type of a scheduler that does not use the trained schedule: those of its sampling grid.
    /// </summary>
    private static (INoiseSchedule Schedule, Prediction Prediction) OfGrid(SchedulerConfig config)
    {
        const int AnyNumber = 10;
        var mapped = Create(config, new SchedulerCall { Steps = AnyNumber });
        return (mapped.Sampler.Grid!.Schedule, mapped.Prediction);
    }

    private static NotSupportedException Unknown(SchedulerConfig config)
        => new($"The scheduler '{config.ClassName}' is not known. Known schedulers: {string.Join(", ", ClassNames)}.");
}

/// <summary>A scheduler of diffusers as a sampler of this library, with the prediction type of the network.</summary>
/// <param name="Sampler">The sampler.</param>
/// <param name="Prediction">The prediction type that the scheduler assumes for the network.</param>
public sealed record DiffusersSampler(DiffusionSampler Sampler, Prediction Prediction)
{
    /// <summary>
    /// Whether the network also returns the channels of a learned variance. The default is <see langword="false"/>.
    /// </summary>
    public bool LearnsVariance { get; init; }

    /// <summary>
    /// Whether the samples of the diffusers scheduler are x / alpha, as in the Euler, Heun, DPM2 and LMS schedulers. The sampler of
    /// this library computes x; divide it by <c>SamplerState.Level.Alpha</c> to compare. The default is <see langword="false"/>.
    /// </summary>
    public bool IsExploding { get; init; }

    /// <summary>
    /// Creates the model that the scheduler assumes for a network, with the schedule of the grid and an unbounded data range.
    /// </summary>
    /// <param name="network">The network. It is not disposed.</param>
    public DiffusionModel CreateModel(IDenoiser network)
        => new(network, Sampler.Grid!.Schedule, Prediction) { LearnsVariance = LearnsVariance, DataRange = DataRange.Unbounded };
}
