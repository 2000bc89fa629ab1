using System.Text.Json;
using System.Text.Json.Serialization;

namespace Diffusion.Core;

/// <summary>
/// Stops a run whose metric no longer improves: one that was measured, as <c>validation_loss</c>, or one of the reports: <c>loss</c>, or a
/// name in <see cref="TrainingProgress.Metrics"/>. The best value and how often it was missed since are part of a checkpoint.
/// </summary>
/// <param name="metric">Its name.</param>
public sealed class EarlyStop(string metric) : TrainerCallback, IStatefulCallback
{
    private readonly string _metric = Guard.NotNull(metric);
    private readonly int _patience = 10;
    private readonly double _minImprovement;
    private double _best = double.NaN;
    private int _misses;

    /// <summary>How many values in a row may fail to improve on the best before the run is stopped: 10.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is less than 1.</exception>
    public int Patience
    {
        get => _patience;
        init => _patience = Guard.InRange(value, 1, int.MaxValue);
    }

    /// <summary>By how much a value must be better than the best so far: more than 0.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is negative or not finite.</exception>
    public double MinImprovement
    {
        get => _minImprovement;
        init => _minImprovement = Guard.InRange(value, 0.0, double.MaxValue);
    }

    /// <summary>Whether greater is better: false, as for losses.</summary>
    public bool Maximise { get; init; }

    /// <summary>The best value so far; NaN before any.</summary>
    public double Best => _best;

    /// <summary>Values in a row that did not improve on it.</summary>
    public int Misses => _misses;

    /// <inheritdoc/>
    public string Key => $"early-stop:{_metric}";

    /// <inheritdoc/>
    public override void Reported(TrainingRun run, TrainingProgress progress)
    {
        ArgumentNullException.ThrowIfNull(run);
        ArgumentNullException.ThrowIfNull(progress);
        if (_metric == "loss")
            Look(run, progress.Loss);
        else if (progress.Metrics.TryGetValue(_metric, out var value))
            Look(run, value);
    }

    /// <inheritdoc/>
    public override void MetricLogged(TrainingRun run, string name, double value)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (name == _metric)
            Look(run, value);
    }

    /// <inheritdoc/>
    public JsonElement Save()
        => JsonSerializer.SerializeToElement(new EarlyStopState(_best, _misses), EarlyStopJson.Default.EarlyStopState);

    /// <inheritdoc/>
    public void Load(JsonElement state)
    {
        var (best, misses) = state.Deserialize(EarlyStopJson.Default.EarlyStopState)
            ?? throw new JsonException("expected an object, got null");
        if (misses < 0)
            throw new JsonException($"misses must not be negative, got {misses}");
        (_best, _misses) = (best, misses);
    }

    /// <summary>A value that is not a number improves on nothing.</summary>
    private void Look(TrainingRun run, double value)
    {
        var gain = Maximise ? value - _best : _best - value;
        if ((double.IsNaN(_best) && !double.IsNaN(value)) || gain > MinImprovement)
            (_best, _misses) = (value, 0);
        else if (++_misses >= Patience)
            run.Stop($"{_metric} has not improved on {_best:G6} for {_misses} values.");
    }
}

/// <summary>What an <see cref="EarlyStop"/> remembers.</summary>
internal sealed record EarlyStopState(double Best, int Misses);

/// <summary>How it is written.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    RespectRequiredConstructorParameters = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(EarlyStopState))]
internal sealed partial class EarlyStopJson : JsonSerializerContext;
