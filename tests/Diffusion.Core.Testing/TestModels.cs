using Diffusion.Core.Models;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Testing;

/// <summary>Short ways to a <see cref="DiffusionModel"/>.</summary>
public static class TestModels
{
    /// <summary>A network as a model on a schedule.</summary>
    public static DiffusionModel On(
        this IDenoiser network, INoiseSchedule schedule, Prediction? prediction = null, bool learnsVariance = false)
        => new(network, schedule, prediction) { LearnsVariance = learnsVariance };
}
