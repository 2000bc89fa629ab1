using System.Text.Json;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>One recorded run of a diffusers scheduler, replayed by the sampler that its settings describe.</summary>
internal sealed class RecordedRun : IDisposable
{
    private const string Time = "time";
    private const double TimeTolerance = 1e-3;
    private const double Most = 9e-4;
    private const int Probes = 3;

    private readonly GoldenFile _file;
    private readonly Dictionary<string, Tensor> _tensors = [];

    public RecordedRun(string path)
    {
        _file = new GoldenFile(path);
        Times = _file.Values("timesteps");
        var settings = _file.Case;
        RequireKnown(
            settings.GetProperty("step_kwargs"), "eta", "use_clipped_model_output", "order", "s_churn", "s_tmin", "s_tmax", "s_noise");
        RequireKnown(settings.GetProperty("set_timesteps"), "timesteps", "sigmas", "mu", "original_inference_steps", "strength");
        var arguments = SchedulerConfig.Parse(settings.GetProperty("step_kwargs").GetRawText(), "step");
        var times = SchedulerConfig.Parse(settings.GetProperty("set_timesteps").GetRawText(), "set_timesteps");
        var defaults = new SchedulerCall();
        Config = SchedulerConfig.Parse(settings.GetProperty("config").GetRawText(), settings.GetProperty("scheduler").GetString());
        Call = new SchedulerCall
        {
            Steps = settings.GetProperty("steps") is { ValueKind: JsonValueKind.Number } steps ? steps.GetInt32() : null,
            Timesteps = times.Numbers("timesteps"),
            Sigmas = times.Numbers("sigmas"),
            Mu = times.NumberOrNull("mu"),
            OriginalInferenceSteps = times.NumberOrNull("original_inference_steps") is { } original ? (int)original : null,
            Strength = times.Number("strength", defaults.Strength),
            Eta = arguments.NumberOrNull("eta"),
            UseClippedModelOutput = arguments.Flag("use_clipped_model_output", false),
            Order = arguments.NumberOrNull("order") is { } order ? (int)order : null,
            SChurn = arguments.Number("s_churn", defaults.SChurn),
            STmin = arguments.Number("s_tmin", defaults.STmin),
            STmax = arguments.Number("s_tmax", defaults.STmax),
            SNoise = arguments.Number("s_noise", defaults.SNoise),
        };
    }

    /// <summary>An argument that the replay does not know must not be passed over.</summary>
    private static void RequireKnown(JsonElement arguments, params string[] known)
        => arguments.EnumerateObject().Select(argument => argument.Name).Should().BeSubsetOf(known);

    public SchedulerConfig Config { get; }

    public SchedulerCall Call { get; }

    /// <summary>[K] the times the network was called at.</summary>
    public double[] Times { get; }

    /// <summary>
    /// Runs the sampler on the recorded answers and draws, and compares all that it shows: the network's times and inputs, the sample after
    /// each step and, where it is recorded, the x_0 of each step.
    /// </summary>
    /// <param name="tolerance">
    /// Relative to the larger of 1 and the value, over what diffusers' float32 may have lost: see <see cref="Rounding"/>, and in methods of
    /// higher order four times what a change of every level by some units in the last place of a float32 does to the same value.
    /// </param>
    /// <returns>The largest error met.</returns>
    public double Replay(double tolerance)
    {
        var mapped = DiffusersScheduler.Create(Config, Call);
        var (sampler, grid) = (mapped.Sampler, mapped.Sampler.Grid!);
        var scale = _file.Values("init_noise_sigma")[0] * (mapped.IsExploding ? grid.Levels[0].Alpha : 1.0);
        sampler.InitialScaleFor(grid.Schedule)
            .Should().BeApproximately(scale, 1e-5 * scale, "the noise that sampling starts from is as strong as diffusers'");
        var shown = Walk(mapped);
        var isHigherOrder = sampler.Solver.HistoryLength > 0 || Times.Length > grid.Count;
        var probes = isHigherOrder ? Enumerable.Range(1, Probes) : [];
        var moved = probes.Select(seed => Walk(mapped with { Sampler = Moved(sampler, grid, seed) }, isMoved: true)).ToArray();
        var worst = 0.0;
        for (var k = 0; k < shown.Count; k++)
        {
            var (name, call, values, rounding) = shown[k];
            var expected = name == Time ? [Times[call]] : Recorded(name, call).Values();
            values.Should().HaveSameCount(expected, $"{name} of call {call} has that shape");
            var sensitivity = moved.Select(other => Error(other[k].Values, values).Worst).DefaultIfEmpty().Max();
            var allowed = (name == Time ? TimeTolerance : tolerance + rounding) + Math.Min(4.0 * sensitivity, Most);
            var (error, index) = Error(values, expected);
            if (!(error <= allowed))
                Assert.Fail($"{name} of call {call}: element {index} is {values[index]}, expected {expected[index]} within {allowed:E1}.");
            worst = Math.Max(worst, name == Time ? 0.0 : error);
        }

        return worst;
    }

    /// <summary>Everything a sampler shows on its way, in order.</summary>
    private List<Shown> Walk(DiffusersSampler mapped, bool isMoved = false)
    {
        var (sampler, grid, exploding) = (mapped.Sampler, mapped.Sampler.Grid!, mapped.IsExploding);
        var shown = new List<Shown>();
        var calls = 0;
        var rounding = 0.0;
        var denoiser = new FunctionDenoiser((x, t, _) =>
        {
            var k = calls++;
            if (k >= Times.Length)
                Assert.Fail($"The network is called {calls} times, diffusers calls it {Times.Length} times.");
            shown.Add(new Shown(Time, k, [t.Values()[0]], 0.0));
            shown.Add(new Shown("model_in", k, x.Values(), rounding));
            return Recorded("model_out", k).clone();
        });
        using var model = mapped.CreateModel(denoiser);
        var draws = _file.Contains("noise") ? (int)this["noise"].shape[0] : 0;
        using var noise = new ReplayNoise((m, x) => m < draws ? Recorded("noise", m).clone() : x.mul(0.0));
        using var start = this["x_init"].mul(exploding ? grid.Levels[0].Alpha : 1.0);
        var request = new SamplingRequest { Shape = start.shape, InitialSample = start, Noise = noise };
        foreach (var step in sampler.Steps(model, request, TestContext.Current.CancellationToken))
        {
            using var state = step;
            if (state.Step == 0)
                continue;
            rounding = Rounding(grid.Levels[state.Step - 1]);
            using var sample = state.Sample.mul(exploding ? 1.0 / state.Level.Alpha : 1.0);
            shown.Add(new Shown("x", calls - 1, sample.Values(), rounding));
            if (_file.Contains("pred_x0") && state.Denoised is { } denoised && calls == state.Step)
                shown.Add(new Shown("pred_x0", calls - 1, denoised.Values(), rounding));
        }

        calls.Should().Be(Times.Length, "the network is called as often as by diffusers");

        // diffusers also draws for a last step whose noise it multiplies by zero; so does a step between levels that were equal.
        noise.Draws.Should().BeInRange(draws - 1, isMoved ? draws + 1 : draws);
        return shown;
    }

    /// <summary>The same sampler, with every level off by some units in the last place of a float32; equal levels stay equal.</summary>
    private static DiffusionSampler Moved(DiffusionSampler sampler, TimeGrid grid, int seed)
    {
        var random = new Random(seed);
        var factors = new Dictionary<double, (double OfAlpha, double OfSigma)>();
        var levels = Array.ConvertAll(grid.Levels.ToArray(), level =>
        {
            var key = Math.Round(Math.Log(level.NoiseToSignalRatio), 4);
            if (!factors.TryGetValue(key, out var factor))
                factors[key] = factor = (Factor(), Factor());
            return new NoiseLevel(level.Alpha * factor.OfAlpha, level.Sigma * factor.OfSigma);
        });
        return new DiffusionSampler(new TimeGrid(grid.Schedule, grid.Times, levels), sampler.Solver, sampler.Options);

        double Factor() => 1.0 + (Math.Pow(2.0, -22) * ((2.0 * random.NextDouble()) - 1.0));
    }

    /// <summary>
    /// What diffusers' float32 may lose by itself, up to 1e-3 with the tolerance: of 1 - abar near the data, and of
    /// x_0 = (x - sigma eps) / alpha near pure noise.
    /// </summary>
    private static double Rounding(NoiseLevel level)
    {
        var alpha = 1.0 / Math.Sqrt(1.0 + (level.NoiseToSignalRatio * level.NoiseToSignalRatio));
        return Math.Min(Most, Math.Pow(2.0, -21) / Math.Min(1.0 - (alpha * alpha), alpha));
    }

    /// <summary>The largest error, relative to the larger of 1 and the value, and where it is.</summary>
    private static (double Worst, int Index) Error(double[] actual, double[] expected)
    {
        var (worst, index) = (0.0, 0);
        for (var i = 0; i < expected.Length; i++)
        {
            var error = Math.Abs(actual[i] - expected[i]) / Math.Max(1.0, Math.Abs(expected[i]));
            if (!(error <= worst))
                (worst, index) = (error, i);
        }

        return (worst, index);
    }

    private sealed record Shown(string Name, int Call, double[] Values, double Rounding);

    public void Dispose()
    {
        foreach (var tensor in _tensors.Values)
            tensor.Dispose();
        _file.Dispose();
    }

    private Tensor this[string name]
    {
        get
        {
            if (!_tensors.TryGetValue(name, out var tensor))
                _tensors[name] = tensor = _file.Read(name).DetachFromDisposeScope();
            return tensor;
        }
    }

    /// <summary>One of a recorded series.</summary>
    private Tensor Recorded(string name, int index)
    {
        var key = $"{name} {index}";
        if (!_tensors.TryGetValue(key, out var tensor))
            _tensors[key] = tensor = this[name].select(0, index).DetachFromDisposeScope();
        return tensor;
    }
}
