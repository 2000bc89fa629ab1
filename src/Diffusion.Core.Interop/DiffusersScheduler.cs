using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>
/// Samplers from diffusers' scheduler configurations:
/// <c>DiffusersScheduler.CreateSampler(SchedulerConfig.Read("scheduler/scheduler_config.json"), steps: 50)</c> walks the same times, at the
/// same noise levels, by the same formulas.
/// </summary>
public static class DiffusersScheduler
{
    private static readonly Dictionary<string, ISchedulerMapping> _mappings = new ISchedulerMapping[]
    {
        new DdpmMapping(),
        new DdimMapping(),
        new UnClipMapping(),
        new EulerMapping(),
        new EulerAncestralMapping(),
        new HeunMapping(),
        new Dpm2Mapping(isAncestral: false),
        new Dpm2Mapping(isAncestral: true),
        new LmsMapping(),
        new EdmEulerMapping(),
        new FlowEulerMapping(),
        new FlowHeunMapping(),
        new ConsistencyMapping(),
        new LcmMapping(),
        new TcdMapping(),
        new DdimInverseMapping(),
        new DeisMapping(),
        new DpmInverseMapping(),
        new DpmMultistepMapping(),
        new DpmSinglestepMapping(),
        new EdmDpmMapping(),
        new IpndmMapping(),
        new PndmMapping(),
        new SaMapping(),
        new UniPcMapping(),
    }.ToDictionary(mapping => mapping.ClassName, StringComparer.Ordinal);

    /// <summary>The classes of schedulers that are known, in ordinal order.</summary>
    public static IEnumerable<string> ClassNames => _mappings.Keys.Order(StringComparer.Ordinal);

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
        return _mappings.TryGetValue(config.ClassName, out var mapping)
            ? mapping.Create(config, call)
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
