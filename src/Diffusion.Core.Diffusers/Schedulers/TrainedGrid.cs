using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// Selects timesteps and noise levels of a trained T-step schedule in the two ways of diffusers (<see cref="Fractional"/> and
/// <see cref="Whole"/>), according to the settings <c>timestep_spacing</c>, <c>steps_offset</c>,
/// <c>use_{karras,exponential,beta}_sigmas</c>, <c>use_lu_lambdas</c> and <c>final_sigmas_type</c>.
/// </summary>
internal sealed class TrainedGrid
{
    // diffusers replaces the last abar by this value, the smallest positive number of float16, if it is 0.
    private const double LeastAlphaBar = 1.0 / (1 << 24);

    // A few units in the last place of a float32, as a relative difference.
    private const double Rounding = 1e-6;

    private static readonly string[] _respacings = ["use_karras_sigmas", "use_exponential_sigmas", "use_lu_lambdas", "use_beta_sigmas"];

    // The schedulers that truncate the timesteps of a respaced cosine schedule. The other schedulers of the family round them.
    private static readonly string[] _cosineCutters = ["DPMSolverMultistepScheduler", "DPMSolverMultistepInverseScheduler"];

    private readonly SchedulerConfig _config;
    private readonly double[] _table;

    public TrainedGrid(SchedulerConfig config)
    {
        _config = config;
        Schedule = TrainedSchedule.Of(config);
        var bars = Schedule.AlphaBars.ToArray();
        if (bars[^1] == 0.0)
            bars[^1] = LeastAlphaBar;

        _table = Array.ConvertAll(bars, bar => Math.Sqrt((1.0 - (float)bar) / (float)bar));
    }

    public DiscreteSchedule Schedule { get; }

    /// <summary>sigma / alpha at the first index.</summary>
    public double LeastRatio => _table[0];

    /// <summary>sigma / alpha at the last index.</summary>
    public double GreatestRatio => _table[^1];

    /// <summary>The last index whose lambda is not less than <c>lambda_min_clipped</c>.</summary>
    public int NoisiestIndex
    {
        get
        {
            var least = _config.Number("lambda_min_clipped", double.NegativeInfinity);
            return Schedule.Steps - 1 - _table.Count(ratio => -Math.Log(ratio) < least);
        }
    }

    /// <summary>Whether the configuration spaces the noise levels rather than the timesteps. Such a grid is called respaced.</summary>
    public bool Respaces => _respacings.Any(name => _config.Flag(name, false));

    /// <summary>Whether <see cref="Whole"/> rounds the timesteps of respaced grids; otherwise it truncates them.</summary>
    private bool RoundsTimes
        => (_config.Flag("use_karras_sigmas", false) || _config.Flag("use_lu_lambdas", false))
            && !(_config.Text("beta_schedule", "linear") == "squaredcos_cap_v2" && _cosineCutters.Contains(_config.ClassName));

    /// <summary>
    /// Returns a grid as used by the Euler, Heun, DPM2 and LMS schedulers: N timesteps that may be fractional, with sigma / alpha
    /// interpolated linearly between indices. The last step ends at <paramref name="last"/>.
    /// </summary>
    /// <param name="call">The number of steps, or custom timesteps or sigmas.</param>
    /// <param name="last">The final sigma / alpha. The default is 0.</param>
    /// <param name="roundKarras">Whether the timesteps of a Karras grid are rounded.</param>
    /// <param name="whole">Whether a respaced grid covers the whole schedule, rather than the range of the timesteps.</param>
    public TimeGrid Fractional(SchedulerCall call, double last = 0.0, bool roundKarras = false, bool whole = false)
    {
        var count = call.Count();
        var times = call.Timesteps?.ToArray() ?? Spaced(count, count, round: false);
        var ratios = Array.ConvertAll(times, Interpolate);
        var (least, greatest) = whole ? (LeastRatio, GreatestRatio) : (ratios[^1], ratios[0]);
        var sigmas = call.Sigmas?.ToArray();
        if (sigmas is not null)
            ratios = sigmas;
        else if (Respaced(_config.NumberOrNull("sigma_min") ?? least, _config.NumberOrNull("sigma_max") ?? greatest, count) is { } other)
            (ratios, sigmas) = (other, other);
        if (sigmas is not null)
            times = Array.ConvertAll(ratios, TimeOf);
        if (roundKarras && _config.Flag("use_karras_sigmas", false))
            times = Array.ConvertAll(times, Math.Round);
        return Build(times, ratios, last);
    }

    /// <summary>
    /// Returns a grid as used by the DPM-Solver family: N whole timesteps out of N + 1 evenly spaced ones. A respaced grid extends
    /// from <c>sigma_max</c> to <c>sigma_min</c>, by default over the whole schedule, and its timesteps are rounded or truncated to
    /// whole numbers.
    /// </summary>
    /// <param name="call">The number of steps, or custom timesteps.</param>
    /// <param name="last">Returns the final sigma / alpha, given that of the last step.</param>
    public TimeGrid Whole(SchedulerCall call, Func<double, double> last)
    {
        call.Reject(_config, sigmas: true);
        var count = call.Count();
        var times = call.Timesteps?.ToArray() ?? Spaced(count, count + 1, round: true);
        var ratios = Array.ConvertAll(times, Interpolate);
        if (Respaced(_config.NumberOrNull("sigma_min") ?? _table[0], _config.NumberOrNull("sigma_max") ?? _table[^1], count) is { } other)
        {
            ratios = other;
            times = Array.ConvertAll(ratios, TimeOf);
            times = Array.ConvertAll<double, double>(times, RoundsTimes ? Math.Round : Cut);
        }

        // If the final level repeats that of the last step, rounding must not make it noisier.
        var end = last(ratios[^1]);
        return Build(times, ratios, Math.Abs(end - ratios[^1]) < Rounding * ratios[^1] ? ratios[^1] : end);
    }

    /// <summary>Returns the final sigma / alpha that <c>final_sigmas_type</c> specifies.</summary>
    public double FinalRatio(string missing = "zero")
    {
        var kind = _config.Text("final_sigmas_type", missing);
        return kind switch
        {
            "zero" => 0.0,
            "sigma_min" => LeastRatio,
            _ => throw _config.Unknown("final_sigmas_type", kind),
        };
    }

    /// <summary>Returns the level of a variance preserving process with a given sigma / alpha.</summary>
    public static NoiseLevel Level(double ratio)
    {
        var alpha = 1.0 / Math.Sqrt(1.0 + (ratio * ratio));
        return new NoiseLevel(alpha, ratio * alpha);
    }

    private TimeGrid Build(double[] times, double[] ratios, double last)
        => new(Schedule, times, [.. ratios.Select(ratio => Level((float)ratio)), Level((float)last)]);

    /// <summary>
    /// Returns the timesteps of <c>timestep_spacing</c>. With "linspace" and "leading", the DPM-Solver family uses N of N + 1 evenly
    /// spaced timesteps. With "trailing", there are at most N timesteps. In diffusers there may be one more, -1, because T / N is
    /// rounded; if T is 1000, this first happens at N = 61.
    /// </summary>
    private double[] Spaced(int count, int laidOut, bool round)
    {
        var total = NoisiestIndex + 1;
        var offset = _config.Whole("steps_offset", 0);
        var spacing = _config.Text("timestep_spacing", "linspace");
        return spacing switch
        {
            "linspace" => Enumerable.Range(0, count).Select(k => Rounded(laidOut == 1 ? 0.0 : (total - 1.0) * (laidOut - 1 - k) / (laidOut - 1))).ToArray(),
            "leading" => Enumerable.Range(0, count).Select(k => (double)(total / laidOut * (laidOut - 1 - k)) + offset).ToArray(),
            "trailing" => Enumerable.Range(0, count).Select(k => total - (k * ((double)Schedule.Steps / count)))
                .Where(time => time > 0.0).Select(time => Math.Round(time) - 1.0).ToArray(),
            _ => throw _config.Unknown("timestep_spacing", spacing),
        };

        double Rounded(double time) => round ? Math.Round(time) : time;
    }

    /// <summary>Returns the levels of a respaced grid, or null if the timesteps are spaced.</summary>
    private double[]? Respaced(double min, double max, int count)
    {
        if (count == 1 && Respaces)
            return [max];
        if (_config.Flag("use_karras_sigmas", false))
            return SigmaSpacing.Karras().Ratios(count, min, max);
        if (_config.Flag("use_exponential_sigmas", false) || _config.Flag("use_lu_lambdas", false))
            return SigmaSpacing.Exponential().Ratios(count, min, max);
        return _config.Flag("use_beta_sigmas", false) ? SigmaSpacing.Beta().Ratios(count, min, max) : null;
    }

    /// <summary>
    /// Truncates a timestep as diffusers does. diffusers compares the logarithm of the noisiest level with a float32 table of
    /// logarithms. If the entry of the table is rounded up, the level is just below the last index and is truncated to the previous
    /// one. With <c>use_lu_lambdas</c>, the level is computed from the table itself.
    /// </summary>
    private double Cut(double time)
    {
        if (time != Schedule.MaxTime)
            return Math.Floor(time);
        var ratio = (float)_table[^1];
        double tabled = MathF.Log(ratio);
        var log = _config.Flag("use_lu_lambdas", false) ? Math.Log(Math.Exp(tabled)) : Math.Log(ratio);
        return log < tabled ? time - 1.0 : time;
    }

    private double Interpolate(double time)
    {
        var low = Math.Clamp((int)Math.Floor(time), 0, _table.Length - 1);
        var high = Math.Min(low + 1, _table.Length - 1);
        return _table[low] + ((time - low) * (_table[high] - _table[low]));
    }

    /// <summary>
    /// Returns the timestep of a level, interpolated between indices in log(sigma / alpha). Levels outside the table have the timestep
    /// of its first or last entry.
    /// </summary>
    private double TimeOf(double ratio)
    {
        var log = Math.Log(ratio);
        var high = Array.FindIndex(_table, value => value > ratio);
        if (high == 0)
            return 0.0;
        if (high < 0)
            return _table.Length - 1.0;
        var (below, above) = (Math.Log(_table[high - 1]), Math.Log(_table[high]));
        return high - 1 + ((log - below) / (above - below));
    }
}

/// <summary>
/// Creates the trained noise schedule of a configuration. diffusers computes <c>1 - beta</c> and abar in float32. Near pure noise, the
/// relative rounding error of abar is of the order of 1e-4. Networks were trained with the rounded values, so this class rounds in the
/// same way.
/// </summary>
internal static class TrainedSchedule
{
    /// <summary>The largest number of training timesteps that is read. The tables of a schedule grow with it.</summary>
    public const int MaxSteps = 1_000_000;

    private const string StepsName = "num_train_timesteps";
    private const string Rescaled = "rescale_betas_zero_snr";

    /// <summary>Returns the number of training timesteps.</summary>
    /// <exception cref="InvalidDataException">It is not a whole number from 1 to <see cref="MaxSteps"/>.</exception>
    public static int Steps(SchedulerConfig config, int missing = 1000)
        => config.Whole(StepsName, missing) is var steps and >= 1 and <= MaxSteps ? steps
            : throw config.Unexpected(StepsName, $"a whole number from 1 to {MaxSteps}", config.Json(StepsName));

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
        if (!config.Flag(Rescaled, false))
            return Rounded(schedule);
        return schedule.Steps > 1 ? Rounded(schedule.RescaledToZeroTerminalSnr())
            : throw config.Unexpected(Rescaled, "false for a schedule of one step", config.Json(Rescaled));
    }

    /// <summary>Returns the schedule with abar rounded as in diffusers: a product of float32 factors, rounded to float32.</summary>
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
