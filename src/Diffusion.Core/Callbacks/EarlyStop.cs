using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Diffusion.Core;

/// <summary>
/// Stops a run when a metric no longer improves. The best value and the number of values since are part of a checkpoint. If the metric has
/// no value after <see cref="Patience"/> reports, or at the end of the run, a warning is logged.
/// </summary>
/// <param name="metric">
/// The name of a metric that is logged, such as <c>validation_loss</c>, or of one in the reports: <c>loss</c>, or a name in
/// <see cref="TrainingProgress.Metrics"/>.
/// </param>
public sealed class EarlyStop(string metric) : TrainerCallback, IStatefulCallback
{
    private readonly string _metric = Guard.NotNull(metric);
    private readonly int _patience = 10;
    private readonly double _minImprovement;
    private double _best = double.NaN;
    private int _misses;
    private int _reports;
    private bool _hasWarned;

    /// <summary>The number of consecutive values without an improvement after which the run is stopped. The default is 10.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is less than 1.</exception>
    public int Patience
    {
        get => _patience;
        init => _patience = Guard.InRange(value, 1, int.MaxValue);
    }

    /// <summary>The improvement on the best value that a value must exceed to count. The default is 0.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative or not finite.</exception>
    public double MinImprovement
    {
        get => _minImprovement;
        init => _minImprovement = Guard.InRange(value, 0.0, double.MaxValue);
    }

    /// <summary>Whether greater values are better. The default is <see langword="false"/>, as for losses.</summary>
    public bool Maximise { get; init; }

    /// <summary>The best value so far; NaN before the first.</summary>
    public double Best => _best;

    /// <summary>The number of values since the best one.</summary>
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
        else if (++_reports >= Patience)
            WarnOfName(run, progress);
    }

    /// <inheritdoc/>
    public override void Ended(TrainingRun run, Exception? error)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (error is null)
            WarnOfName(run, null);
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
            throw new JsonException(Invariant($"misses must not be negative, got {misses}"));
        (_best, _misses) = (best, misses);
    }

    /// <summary>Warns once if the metric has no value, with the names that have one.</summary>
    private void WarnOfName(TrainingRun run, TrainingProgress? progress)
    {
        if (_hasWarned || !double.IsNaN(_best) || _misses > 0)
            return;
        _hasWarned = true;
        var names = (progress?.Metrics.Keys ?? []).Concat(run.Trainer.Metrics.Keys).Append("loss").Distinct().Order(StringComparer.Ordinal);
        TrainerLog.MetricMissing(run.Trainer.Log, _metric, run.Step, string.Join(", ", names));
    }

    /// <summary>Compares a value with the best one. NaN is no improvement.</summary>
    private void Look(TrainingRun run, double value)
    {
        var gain = Maximise ? value - _best : _best - value;
        if ((double.IsNaN(_best) && !double.IsNaN(value)) || gain > MinImprovement)
            (_best, _misses) = (value, 0);
        else if (++_misses >= Patience)
            run.Stop(string.Create(CultureInfo.InvariantCulture, $"{_metric} has not improved on {_best:G6} for {_misses} values."));
    }
}

/// <summary>The state of an <see cref="EarlyStop"/>.</summary>
internal sealed record EarlyStopState(double Best, int Misses);

/// <summary>The JSON serializer of the state.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    RespectRequiredConstructorParameters = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(EarlyStopState))]
internal sealed partial class EarlyStopJson : JsonSerializerContext;
