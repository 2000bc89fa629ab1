using Diffusion.Core.Schedules;

namespace Diffusion.Core.Interop;

/// <summary>
/// The betas of a configuration, as diffusers has them: in float32, where <c>1 - beta</c> and abar have been rounded. Near pure noise that
/// moves abar by parts in ten thousand, and networks have been trained with what came of it.
/// </summary>
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
        return Rounded(config.Flag("rescale_betas_zero_snr", false) ? schedule.RescaledToZeroTerminalSnr() : schedule);
    }

    /// <summary>A schedule whose abars are those that a product of float32 factors has in float32.</summary>
    public static DiscreteSchedule Rounded(DiscreteSchedule schedule)
    {
        var betas = new double[schedule.Steps];
        var (product, previous) = (1.0, 1.0);
        for (var t = 0; t < betas.Length; t++)
        {
            product *= 1f - (float)schedule.Betas[t];
            double bar = (float)product;
            betas[t] = 1.0 - (bar / previous);
            previous = bar;
        }

        return DiscreteSchedule.FromBetas(betas);
    }
}
