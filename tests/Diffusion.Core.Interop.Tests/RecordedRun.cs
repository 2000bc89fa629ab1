using System.Text.Json;
using Diffusion.Core.Samplers;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Interop.Tests;

/// <summary>One recorded run of a diffusers scheduler, replayed by the sampler that its settings describe.</summary>
internal sealed class RecordedRun : IDisposable
{
    private const double Most = 9e-4;

    private readonly GoldenFile _file;
    private readonly Dictionary<string, Tensor> _tensors = [];

    public RecordedRun(string path)
    {
        _file = new GoldenFile(path);
        Times = _file.Values("timesteps");
        var settings = _file.Case;
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

    public SchedulerConfig Config { get; }

    public SchedulerCall Call { get; }

    /// <summary>[K] the times the network was called at.</summary>
    public double[] Times { get; }

    /// <summary>
    /// Runs the sampler on the recorded answers and draws, and compares all that it shows: the network's times and inputs, the sample after
    /// each step and, where it is recorded, the x_0 of each step.
    /// </summary>
    /// <param name="tolerance">Relative to the larger of 1 and the value.</param>
    /// <returns>The largest error met.</returns>
    public double Replay(double tolerance)
    {
        var (sampler, exploding) = DiffusersScheduler.Create(Config, Call);
        var calls = 0;
        var (worst, rounding) = (0.0, 0.0);
        var denoiser = new FunctionDenoiser((x, t, _) =>
        {
            var k = calls++;
            if (k >= Times.Length)
                Assert.Fail($"The network is called {calls} times, diffusers calls it {Times.Length} times.");
            foreach (var time in t.Values())
                time.Should().BeApproximately(Times[k], 1e-3 + (1e-5 * Math.Abs(Times[k])), $"call {k} of the network is at that time");
            Compare(x, "model_in", k, 1.0);
            return Recorded("model_out", k).clone();
        });
        using var noise = new ReplayNoise((m, _) => Recorded("noise", m).clone());
        var first = sampler.Grid.Levels[0].Alpha;
        using var start = this["x_init"].mul(exploding ? first : 1.0);
        var request = new SamplingRequest { Shape = start.shape, InitialSample = start, Noise = noise };

        foreach (var state in sampler.Steps(denoiser, request, TestContext.Current.CancellationToken))
        {
            if (state.Step == 0)
                continue;
            rounding = Rounding(sampler.Grid.Levels[state.Step - 1], sampler.Solver.HistoryLength > 0 || calls > state.Step);
            Compare(state.Sample, "x", calls - 1, exploding ? 1.0 / state.Level.Alpha : 1.0);
            if (_file.Contains("pred_x0") && state.Denoised is { } denoised && calls == state.Step)
                Compare(denoised, "pred_x0", calls - 1, 1.0);
        }

        calls.Should().Be(Times.Length, "the network is called as often as by diffusers");

        // diffusers also draws for a last step whose noise it multiplies by zero.
        var draws = _file.Contains("noise") ? (int)this["noise"].shape[0] : 0;
        noise.Draws.Should().BeOneOf(draws, draws - 1);
        return worst;

        void Compare(Tensor actual, string name, int index, double scale)
        {
            using var scaled = actual.mul(scale);
            worst = Math.Max(worst, scaled.ShouldBeClose(Recorded(name, index), tolerance + rounding, $"{name} of call {index}"));
        }
    }

    /// <summary>
    /// What diffusers' float32 may have lost beyond the tolerance, up to 1e-3: of 1 - abar near the data, of x_0 = (x - sigma eps) / alpha
    /// near pure noise, and of the small differences between levels by which methods of higher order divide.
    /// </summary>
    private static double Rounding(NoiseLevel level, bool isHigherOrder)
    {
        var alpha = 1.0 / Math.Sqrt(1.0 + (level.Ratio * level.Ratio));
        return isHigherOrder && level.Ratio < 10.0 ? Most : Math.Min(Most, Math.Pow(2.0, -21) / Math.Min(1.0 - (alpha * alpha), alpha));
    }

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
