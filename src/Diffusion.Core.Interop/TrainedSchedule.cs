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
            "sigmoid" => BetaSigmoid(steps, start, end),
            _ => throw config.Unknown("beta_schedule", kind),
        };
        return config.Flag("rescale_betas_zero_snr", false) ? WithoutTerminalSignal(schedule) : schedule;
    }

    private static DiscreteSchedule BetaSigmoid(int steps, double start, double end)
        => DiscreteSchedule.FromBetas(
            Enumerable.Range(0, steps).Select(t => start + ((end - start) / (1.0 + Math.Exp(6.0 - (12.0 * t / (steps - 1)))))).ToArray());

    private static DiscreteSchedule WithoutTerminalSignal(DiscreteSchedule schedule)
    {
        var (first, last) = (schedule.Alpha(0), schedule.Alpha(schedule.MaxTime));
        var betas = new double[schedule.Steps];
        var previous = 1.0;
        for (var t = 0; t < betas.Length; t++)
        {
            var bar = Math.Pow((schedule.Alpha(t) - last) * first / (first - last), 2);
            betas[t] = 1.0 - (bar / previous);
            previous = bar;
        }

        return DiscreteSchedule.FromBetas(betas);
    }
}
