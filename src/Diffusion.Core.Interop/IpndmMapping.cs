using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>iPNDM, which has a process of its own and takes the network to predict v.</summary>
internal sealed class IpndmMapping : ISchedulerMapping
{
    public string ClassName => "IPNDMScheduler";

    public DiffusersSampler Create(SchedulerConfig config, SchedulerCall call)
        => config.Numbers("trained_betas") is not null
            ? throw new NotSupportedException($"{ClassName} with trained_betas is not supported.")
            : new(new DiffusionSampler(
                IpndmGrid.Create(call.Count()),
                new PndmSolver(),
                new SamplerOptions { Prediction = new FromNoise(), Threshold = null }));

    /// <summary>
    /// v, whose x_0 is had from eps by a division by alpha. Without signal, at the start of the grid, diffusers' guard against a division
    /// by zero makes it zero, where v itself says what it is.
    /// </summary>
    private sealed class FromNoise : IPrediction
    {
        public string Name => "velocity-by-noise";

        public LinearPair Target(NoiseLevel level, NoiseLevel previous) => Prediction.Velocity.Target(level, previous);

        public LinearPair ToData(NoiseLevel level, NoiseLevel previous)
            => level.Alpha == 0.0 ? new LinearPair(0.0, 0.0) : Prediction.Velocity.ToData(level, previous);

        public LinearPair ToNoise(NoiseLevel level, NoiseLevel previous) => Prediction.Velocity.ToNoise(level, previous);
    }
}
