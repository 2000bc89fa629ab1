namespace Diffusion.Core.Interop;

/// <summary>How one class of diffusers schedulers becomes a sampler.</summary>
internal interface ISchedulerMapping
{
    /// <summary>The class in diffusers, such as <c>DDIMScheduler</c>.</summary>
    string ClassName { get; }

    /// <summary>The sampler that the settings describe.</summary>
    /// <exception cref="NotSupportedException">A setting has a value that is not known.</exception>
    DiffusersSampler Create(SchedulerConfig config, SchedulerCall call);
}
