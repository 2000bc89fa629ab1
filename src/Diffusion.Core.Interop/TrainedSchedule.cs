using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>The betas of a configuration.</summary>
internal static class TrainedSchedule
{
    public static int Steps(SchedulerConfig config) => config.Whole("num_train_timesteps", 1000);

    public static DiscreteSchedule Of(SchedulerConfig config)
    {
        var steps = Steps(config);
        var (start, end) = (config.Number("beta_start", 0.0001), config.Number("beta_end", 0.02));
        var kind = config.Text("beta_schedule", "linear");
        var schedule = config.Numbers("trained_betas") is { } betas ? DiscreteSchedule.FromBetas(betas) : kind switch
        {
            "linear" => DiscreteSchedule.Linear(steps, start, end),
            "scaled_linear" => DiscreteSchedule.ScaledLinear(steps, start, end),
            "squaredcos_cap_v2" => DiscreteSchedule.Cosine(steps),
            "laplace" => DiscreteSchedule.LaplaceRoot(steps),
            "sigmoid" => DiscreteSchedule.SigmoidBeta(steps, start, end),
            _ => throw config.Unknown("beta_schedule", kind),
        };
        return config.Flag("rescale_betas_zero_snr", false) ? schedule.RescaledToZeroTerminalSnr() : schedule;
    }
}
