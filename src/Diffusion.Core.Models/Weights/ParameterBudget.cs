using System.Text.Json.Nodes;

namespace Diffusion.Core.Models;

/// <summary>
/// Limits the parameters of the networks that the current thread constructs until the budget is disposed, so that the sizes in a file
/// are compared with its weights before memory is allocated. Each layer reports the shapes of its parameters before it creates them.
/// </summary>
internal sealed class ParameterBudget : IDisposable
{
    /// <summary>The most values of a network for which there are no weights to compare with.</summary>
    public const long MaxValues = 20_000_000_000;

    /// <summary>The most tensors of a network for which there are no weights to compare with.</summary>
    public const int MaxTensors = 100_000;

    // Smaller networks are constructed in any case, so that a message can name the tensors that do not match.
    private const long SmallValues = 1 << 20;
    private const int SmallTensors = 1_000;

    [ThreadStatic]
    private static ParameterBudget? _current;

    private readonly ParameterBudget? _outer;
    private readonly JsonObject? _settings;
    private readonly string _limit;
    private readonly long _maxValues;
    private long _values;
    private int _tensors;

    private ParameterBudget(long values, int tensors, string limit, JsonObject? settings)
    {
        (_maxValues, _values, _tensors, _limit, _settings, _outer) = (values, values, tensors, limit, settings, _current);
        _current = this;
    }

    /// <summary>Starts a budget of the tensors of a set of files.</summary>
    public static ParameterBudget Of(SafetensorsSet set, JsonObject? settings)
    {
        var (values, tensors) = (set.Names.Sum(name => Product([.. set[name].Shape])), set.Names.Count);
        return new ParameterBudget(
            Math.Max(values, SmallValues),
            Math.Max(tensors, SmallTensors),
            $"the {values} values in the {tensors} tensors of {set.Path}",
            settings);
    }

    /// <summary>Starts a budget of the stated limits, unless there is a budget; returns null if there is one.</summary>
    public static ParameterBudget? OfLimits(JsonObject? settings) => _current is not null
        ? null
        : new ParameterBudget(MaxValues, MaxTensors, $"the limits of {MaxValues} values and {MaxTensors} tensors", settings);

    /// <summary>Takes the values of a tensor from the budget, if there is one.</summary>
    /// <exception cref="ArgumentException">A size is not positive.</exception>
    /// <exception cref="InvalidDataException">The budget is exceeded. The message contains the largest settings.</exception>
    public static void Spend(params ReadOnlySpan<long> shape)
    {
        if (shape.ContainsAnyInRange(long.MinValue, 0))
            throw new ArgumentException(
                Invariant($"The sizes of a layer must be positive, got {string.Join(", ", shape.ToArray())}."), nameof(shape));
        _current?.Take(shape);
    }

    /// <summary>Compares a table that is not a parameter with the budget, if there is one.</summary>
    /// <exception cref="InvalidDataException">The table is larger than the budget. The message contains the largest settings.</exception>
    public static void Check(params ReadOnlySpan<long> shape)
    {
        if (_current is { } current && Product(shape) > current._maxValues)
            throw current.Exceeded(shape);
    }

    /// <inheritdoc/>
    public void Dispose() => _current = _outer;

    private static long Product(ReadOnlySpan<long> shape)
    {
        var product = 1.0;
        foreach (var side in shape)
            product *= side;
        return product < 1L << 60 ? (long)product : 1L << 60;
    }

    private static IEnumerable<(string Path, long Value)> Wholes(JsonNode? node) => node switch
    {
        JsonObject members => members.SelectMany(member => Wholes(member.Value)),
        JsonArray items => items.SelectMany(Wholes),
        _ => ForeignJson.WholeOf(node) is { } whole ? [(node!.GetPath().TrimStart('$', '.'), whole)] : [],
    };

    private void Take(ReadOnlySpan<long> shape)
    {
        _values -= Product(shape);
        _tensors--;
        if (_values < 0 || _tensors < 0)
            throw Exceeded(shape);
    }

    private InvalidDataException Exceeded(ReadOnlySpan<long> shape)
    {
        string[] largest =
        [
            .. Wholes(_settings).OrderByDescending(setting => setting.Value).Take(4).Select(setting => $"{setting.Path} = {setting.Value}"),
        ];
        return new InvalidDataException(
            Invariant($"The settings specify a network that is larger than {_limit}, at a tensor of shape {Guard.Format(shape)}")
            + Invariant($"{(largest.Length == 0 ? "" : $"; the largest settings are {string.Join(", ", largest)}")}."));
    }
}
