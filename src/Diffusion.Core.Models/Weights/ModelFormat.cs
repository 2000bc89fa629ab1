using System.Text.Json;
using System.Text.Json.Nodes;
using Diffusion.Core.Schedules;
using static Diffusion.Core.ForeignJson;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The classes of networks, schedules and predictions that can be saved and loaded with a <see cref="DiffusionModel"/>. Custom classes are
/// added as in <c>ModelFormat.Default.With(new BlendPrediction())</c>. Instances are immutable.
/// </summary>
public sealed class ModelFormat
{
    private const string TypeKey = "type";
    private const string OptionsKey = "options";

    private readonly NetworkRegistry _networks;
    private readonly IReadOnlyDictionary<string, ScheduleClass> _schedules;
    private readonly IReadOnlyDictionary<string, Func<JsonObject, Prediction>> _predictions;

    private ModelFormat(
        NetworkRegistry networks,
        IReadOnlyDictionary<string, ScheduleClass> schedules,
        IReadOnlyDictionary<string, Func<JsonObject, Prediction>> predictions)
        => (_networks, _schedules, _predictions) = (networks, schedules, predictions);

    /// <summary>The format with the classes of this library.</summary>
    public static ModelFormat Default { get; } = new(NetworkRegistry.Default, SavedSchedules.All, SavedPredictions());

    /// <summary>Returns a copy with an additional class of networks, which replaces a class of the same name.</summary>
    public ModelFormat With(NetworkType network) => new(_networks.With(network), _schedules, _predictions);

    /// <summary>Returns a copy with an additional prediction, which replaces a prediction of the same name.</summary>
    /// <param name="prediction">
    /// The prediction. Files refer to it by its <see cref="Prediction.Name"/>. A file whose parameters differ from those of the prediction is
    /// rejected.
    /// </param>
    public ModelFormat With(Prediction prediction)
    {
        ArgumentNullException.ThrowIfNull(prediction);
        return new ModelFormat(
            _networks,
            _schedules,
            new Dictionary<string, Func<JsonObject, Prediction>>(_predictions, StringComparer.Ordinal)
            {
                [prediction.Name] = saved => Same(prediction, saved),
            });
    }

    /// <summary>Returns a prediction if it has the parameters in a file.</summary>
    private static Prediction Same(Prediction prediction, JsonObject saved)
    {
        var own = Describe(prediction)[OptionsKey]?.ToJsonString() ?? "{}";
        return JsonNode.DeepEquals(JsonNode.Parse(own), JsonNode.Parse(saved.ToJsonString()))
            ? prediction
            : throw new JsonException(
                $"the prediction '{prediction.Name}' was saved with {ForeignJson.Show(saved)}, but is registered with {own}");
    }

    /// <summary>Returns a copy with an additional class of schedules, which replaces a class of the same name.</summary>
    /// <param name="name">The name of the class in files.</param>
    /// <param name="describe">Returns the parameters of a schedule.</param>
    /// <param name="create">Creates a schedule from its parameters.</param>
    public ModelFormat WithSchedule<TSchedule>(string name, Func<TSchedule, JsonObject> describe, Func<JsonObject, TSchedule> create)
        where TSchedule : INoiseSchedule
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(describe);
        ArgumentNullException.ThrowIfNull(create);
        return new ModelFormat(
            _networks,
            new Dictionary<string, ScheduleClass>(_schedules, StringComparer.Ordinal) { [name] = ScheduleClass.Of(describe, create) },
            _predictions);
    }

    /// <summary>Returns the class and the options of a network, or only the name of the class if it is not known.</summary>
    internal JsonObject Describe(nn.Module? network, string className)
        => (network is null ? null : _networks.TryDescribe(network)) ?? new JsonObject { [TypeKey] = className };

    /// <summary>Returns the class and the parameters of a schedule, or only the name of the class if it is not known.</summary>
    internal JsonObject Describe(INoiseSchedule schedule)
    {
        foreach (var (name, known) in _schedules)
        {
            if (known.Describe(schedule, this) is { } parameters)
                return new JsonObject { [TypeKey] = name, [OptionsKey] = parameters };
        }

        return new JsonObject { [TypeKey] = schedule.GetType().Name };
    }

    /// <summary>Returns the name and the parameters of a prediction.</summary>
    internal static JsonObject Describe(Prediction prediction)
    {
        var description = new JsonObject { [TypeKey] = prediction.Name };
        if (prediction.Parameters.Count > 0)
            description[OptionsKey] = new JsonObject(
                prediction.Parameters.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)JsonValue.Create(pair.Value))));
        return description;
    }

    /// <summary>Creates a network from its description. The caller must dispose the returned network.</summary>
    /// <exception cref="NotSupportedException">The class is not known.</exception>
    internal nn.Module CreateNetwork(JsonObject description)
    {
        var type = TypeOf(description);
        return description[OptionsKey] is JsonObject options
            ? _networks.Find(type).Create(options)
            : throw new NotSupportedException(
                $"The class of networks '{type}' is not known, so the file does not contain its options. Pass the network to "
                + $"{nameof(DiffusionModel)}.{nameof(DiffusionModel.Load)}, or register the class with {nameof(ModelFormat)}.{nameof(With)} "
                + "before the model is saved and loaded.");
    }

    /// <summary>Creates a schedule from its description.</summary>
    /// <exception cref="NotSupportedException">The class is not known.</exception>
    internal INoiseSchedule CreateSchedule(JsonObject description)
    {
        var type = TypeOf(description);
        if (!_schedules.TryGetValue(type, out var known))
            throw new NotSupportedException(
                Invariant($"The class of schedules '{type}' is not known; there are: {Names(_schedules.Keys)}. Register it with ")
                + $"{nameof(ModelFormat)}.{nameof(WithSchedule)}.");
        return description[OptionsKey] is JsonObject parameters
            ? known.Create(parameters, this)
            : throw new NotSupportedException(
                $"The schedule '{type}' was saved without its parameters, because the class was not registered with "
                + $"{nameof(ModelFormat)}.{nameof(WithSchedule)} when the model was saved.");
    }

    /// <summary>Returns the prediction of a description.</summary>
    /// <exception cref="NotSupportedException">The name is not known.</exception>
    internal Prediction CreatePrediction(JsonObject description)
    {
        var name = TypeOf(description);
        return _predictions.TryGetValue(name, out var create)
            ? create(description[OptionsKey] as JsonObject ?? [])
            : throw new NotSupportedException(
                Invariant($"The prediction '{name}' is not known; there are: {Names(_predictions.Keys)}. Register it with ")
                + $"{nameof(ModelFormat)}.{nameof(With)}.");
    }

    private static string TypeOf(JsonObject description) => ForeignJson.Text(description, TypeKey);

    private static string Names(IEnumerable<string> names) => string.Join(", ", names.Order(StringComparer.Ordinal));

    private static Dictionary<string, Func<JsonObject, Prediction>> SavedPredictions()
    {
        var known = new[]
        {
            Prediction.Epsilon, Prediction.X0, Prediction.Velocity, Prediction.Score, Prediction.FlowVelocity, Prediction.PreviousMean,
        }.ToDictionary(prediction => prediction.Name, prediction => (Func<JsonObject, Prediction>)(_ => prediction), StringComparer.Ordinal);
        known.Add(Prediction.Edm().Name, options => Prediction.Edm(Number(options, "sigma_data")));
        known.Add(Prediction.EdmVelocity().Name, options => Prediction.EdmVelocity(Number(options, "sigma_data")));
        known.Add(
            Prediction.Consistency().Name,
            options => Prediction.Consistency(Number(options, "sigma_data"), Number(options, "sigma_min")));
        return known;
    }
}

/// <summary>The conversion of a class of schedules to parameters in a file, and back.</summary>
/// <param name="Describe">Returns the parameters of a schedule, or <see langword="null"/> if it has another class.</param>
/// <param name="Create">Creates a schedule from its parameters.</param>
internal sealed record ScheduleClass(
    Func<INoiseSchedule, ModelFormat, JsonObject?> Describe, Func<JsonObject, ModelFormat, INoiseSchedule> Create)
{
    public static ScheduleClass Of<TSchedule>(Func<TSchedule, JsonObject> describe, Func<JsonObject, TSchedule> create)
        where TSchedule : INoiseSchedule
        => new((schedule, _) => schedule is TSchedule typed ? describe(typed) : null, (parameters, _) => create(parameters));
}

/// <summary>
/// The schedules of this library by their names in files. A discrete schedule is saved as its betas and, if it is respaced, its timesteps.
/// </summary>
internal static class SavedSchedules
{
    public static IReadOnlyDictionary<string, ScheduleClass> All { get; } = new Dictionary<string, ScheduleClass>(StringComparer.Ordinal)
    {
        [nameof(DiscreteSchedule)] = ScheduleClass.Of(
            (DiscreteSchedule schedule) => schedule.IsRespaced
                ? new JsonObject { ["timesteps"] = List(Timesteps(schedule)), ["betas"] = List(schedule.Betas.ToArray()) }
                : new JsonObject { ["betas"] = List(schedule.Betas.ToArray()) },
            options => DiscreteSchedule.FromTable(Numbers(options, "betas"), options["timesteps"] is null ? [] : Numbers(options, "timesteps"))),
        [nameof(CosineLogSnrSchedule)] = ScheduleClass.Of(
            (CosineLogSnrSchedule schedule) => new JsonObject { ["min_log_snr"] = schedule.MinLogSnr, ["max_log_snr"] = schedule.MaxLogSnr },
            options => new CosineLogSnrSchedule(Number(options, "min_log_snr"), Number(options, "max_log_snr"))),
        [nameof(EdmSchedule)] = ScheduleClass.Of(
            (EdmSchedule schedule) => new JsonObject
            {
                ["sigma_min"] = schedule.SigmaMin,
                ["sigma_max"] = schedule.SigmaMax,
                ["time_scale"] = schedule.TimeScale,
            },
            options => new EdmSchedule(Number(options, "sigma_min"), Number(options, "sigma_max"), Number(options, "time_scale"))),
        [nameof(LinearVpSchedule)] = ScheduleClass.Of(
            (LinearVpSchedule schedule) => new JsonObject { ["beta_min"] = schedule.BetaMin, ["beta_max"] = schedule.BetaMax },
            options => new LinearVpSchedule(Number(options, "beta_min"), Number(options, "beta_max"))),
        [nameof(SubVpSchedule)] = ScheduleClass.Of(
            (SubVpSchedule schedule) => new JsonObject { ["beta_min"] = schedule.BetaMin, ["beta_max"] = schedule.BetaMax },
            options => new SubVpSchedule(Number(options, "beta_min"), Number(options, "beta_max"))),
        [nameof(VarianceExplodingSchedule)] = ScheduleClass.Of(
            (VarianceExplodingSchedule schedule) => new JsonObject { ["sigma_min"] = schedule.SigmaMin, ["sigma_max"] = schedule.SigmaMax },
            options => new VarianceExplodingSchedule(Number(options, "sigma_min"), Number(options, "sigma_max"))),
        [nameof(RectifiedFlowSchedule)] = ScheduleClass.Of(
            (RectifiedFlowSchedule schedule) => new JsonObject
            {
                ["time_scale"] = schedule.TimeScale,
                ["shift_factor"] = schedule.Shift.Factor,
                ["shift_power"] = schedule.Shift.Power,
            },
            options => new RectifiedFlowSchedule(
                Number(options, "time_scale"), TimestepShift.Linear(Number(options, "shift_factor"), Number(options, "shift_power")))),
        [nameof(TabulatedSchedule)] = ScheduleClass.Of(
            (TabulatedSchedule schedule) => new JsonObject
            {
                ["times"] = List(schedule.Times.ToArray()),
                ["log_snrs"] = List(schedule.LogSnrs.ToArray()),
            },
            options => new TabulatedSchedule(Numbers(options, "times"), Numbers(options, "log_snrs"))),
        [nameof(ResolutionShiftedSchedule)] = new(
            (schedule, format) => schedule is ResolutionShiftedSchedule shifted
                ? new JsonObject
                {
                    ["image_size"] = shifted.ImageSize,
                    ["noise_size_low"] = shifted.NoiseSizeLow,
                    ["noise_size_high"] = shifted.NoiseSizeHigh,
                    ["schedule"] = format.Describe(shifted.Schedule),
                }
                : null,
            (options, format) => ResolutionShiftedSchedule.Interpolated(
                Whole(options, "image_size"),
                Whole(options, "noise_size_low"),
                Whole(options, "noise_size_high"),
                format.CreateSchedule(ForeignJson.Object(options, "schedule")))),
    };

    private static double[] Timesteps(DiscreteSchedule schedule)
        => [.. Enumerable.Range(0, schedule.Steps).Select(t => schedule.ModelTimestep(t))];

    private static JsonArray List(double[] values) => new([.. values.Select(value => (JsonNode)value)]);
}
