using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The two ways in which diffusers' schedulers of a trained T-step schedule choose times and noise levels, and the settings that change
/// them: <c>timestep_spacing</c>, <c>steps_offset</c>, <c>use_{karras,exponential,beta}_sigmas</c>, <c>use_lu_lambdas</c>,
/// <c>final_sigmas_type</c>.
/// </summary>
internal sealed class TrainedGrid
{
    // What diffusers puts in place of the last abar, where a schedule ends without signal: the smallest positive number of float16.
    private const double LeastAlphaBar = 1.0 / (1 << 24);

    // Some units in the last place of a float32.
    private const double Rounding = 1e-6;

    private static readonly string[] _respacings = ["use_karras_sigmas", "use_exponential_sigmas", "use_lu_lambdas", "use_beta_sigmas"];

    // The schedulers that cut the times of a cosine schedule; the others of the family round these, too.
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

    /// <summary>sigma / alpha of the first index.</summary>
    public double LeastRatio => _table[0];

    /// <summary>sigma / alpha of the last index.</summary>
    public double GreatestRatio => _table[^1];

    /// <summary>The last index that does not lie below <c>lambda_min_clipped</c>.</summary>
    public int NoisiestIndex
    {
        get
        {
            var least = _config.Number("lambda_min_clipped", double.NegativeInfinity);
            return Schedule.Steps - 1 - _table.Count(ratio => -Math.Log(ratio) < least);
        }
    }

    /// <summary>Whether levels are chosen in place of times.</summary>
    public bool Respaces => _respacings.Any(name => _config.Flag(name, false));

    /// <summary>Whether the times of whole grids by level are rounded; otherwise they are cut.</summary>
    private bool RoundsTimes
        => (_config.Flag("use_karras_sigmas", false) || _config.Flag("use_lu_lambdas", false))
            && !(_config.Text("beta_schedule", "linear") == "squaredcos_cap_v2" && _cosineCutters.Contains(_config.ClassName));

    /// <summary>
    /// As Euler, Heun, DPM2 and LMS do it: N times that need not be whole, and sigma / alpha interpolated linearly between indices. The last
    /// step leads to <paramref name="last"/>.
    /// </summary>
    /// <param name="call">N, or custom times.</param>
    /// <param name="last">sigma / alpha at the end.</param>
    /// <param name="roundKarras">Whether the times of a Karras grid are rounded.</param>
    /// <param name="whole">Whether a respaced grid covers the whole schedule, not only what the times cover.</param>
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
    /// As the DPM-Solver family does it: whole times, one more of them laid out than is used; Karras, exponential and beta grids from one
    /// end of the schedule to the other, their times rounded or cut to whole numbers.
    /// </summary>
    /// <param name="call">N, or custom times.</param>
    /// <param name="last">sigma / alpha at the end, given that of the last step.</param>
    public TimeGrid Whole(SchedulerCall call, Func<double, double> last)
    {
        var count = call.Count();
        var times = call.Timesteps?.ToArray() ?? Spaced(count, count + 1, round: true);
        var ratios = Array.ConvertAll(times, Interpolate);
        if (Respaced(_config.NumberOrNull("sigma_min") ?? _table[0], _config.NumberOrNull("sigma_max") ?? _table[^1], count) is { } other)
        {
            ratios = other;
            times = Array.ConvertAll(ratios, TimeOf);
            times = Array.ConvertAll<double, double>(times, RoundsTimes ? Math.Round : Cut);
        }

        // Where the least level is the last one again, rounding must not give it more noise than the other.
        var end = last(ratios[^1]);
        return Build(times, ratios, Math.Abs(end - ratios[^1]) < Rounding * ratios[^1] ? ratios[^1] : end);
    }

    /// <summary>sigma / alpha at the end, by <c>final_sigmas_type</c>.</summary>
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

    /// <summary>The level of a variance preserving process with a given sigma / alpha.</summary>
    public static NoiseLevel Level(double ratio)
    {
        var alpha = 1.0 / Math.Sqrt(1.0 + (ratio * ratio));
        return new NoiseLevel(alpha, ratio * alpha);
    }

    private TimeGrid Build(double[] times, double[] ratios, double last)
        => new(Schedule, times, [.. ratios.Select(ratio => Level((float)ratio)), Level((float)last)]);

    /// <summary>
    /// The times of a spacing; DPM-Solver's family lays out one more than it uses, except for trailing ones. There are N of these, also
    /// where, by rounding of T / N, diffusers takes one more step, at time -1: for T = 1000 first at N = 61.
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

    /// <summary>The levels of the grid that the configuration asks for in place of one by time, or null.</summary>
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
    /// The whole part, as diffusers gets it: it compares the logarithm of the noisiest level to a table in float32, and where rounding has
    /// put that above, the level lies just below its own index. A grid by lambda starts from that table itself.
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

    /// <summary>The time of a level, between indices by log(sigma / alpha); levels beyond the table have the time of its end.</summary>
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
