using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Diffusion.Core.Models;

/// <summary>
/// Converts strategies to and from JSON: a name, such as <c>"silu"</c>, or an object with a type and its options, such as
/// <c>{"type": "convolution", "padding": 1}</c>.
/// </summary>
/// <param name="kinds">The kinds of the strategy that this library provides.</param>
internal sealed class StrategyConverter<T>(params StrategyKind<T>[] kinds) : JsonConverter<T>
    where T : class
{
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var node = JsonNode.Parse(ref reader);
        var name = ForeignJson.TextOf(node is JsonObject settings ? settings["type"] : node)
            ?? throw new JsonException($"A {typeof(T).Name} must be a name or an object with a 'type', got {ForeignJson.Show(node)}.");
        var kind = Array.Find(kinds, kind => kind.Name == name)
            ?? throw new JsonException(
                Invariant($"There is no {typeof(T).Name} '{name}'; there are: {string.Join(", ", kinds.Select(kind => kind.Name))}."));
        var given = node as JsonObject ?? [];
        given.Remove("type");
        return kind.Read(given);
    }

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options)
    {
        foreach (var kind in kinds)
        {
            if (kind.Write(value) is not { } settings)
                continue;
            if (settings.Count == 0)
            {
                writer.WriteStringValue(kind.Name);
                return;
            }

            settings.Insert(0, "type", kind.Name);
            settings.WriteTo(writer, options);
            return;
        }

        throw new NotSupportedException(
            $"The {typeof(T).Name} of the class {value.GetType().Name} cannot be saved, expected one of: "
            + Invariant($"{string.Join(", ", kinds.Select(kind => kind.Name))}. Register a custom {nameof(NetworkType)} for the ")
            + "network instead.");
    }
}

/// <summary>One kind of a strategy in files.</summary>
/// <param name="Name">The name of the kind in files.</param>
/// <param name="Write">Returns the options of a strategy, or <see langword="null"/> if the strategy is of another kind.</param>
/// <param name="Read">Creates a strategy from its options.</param>
internal sealed record StrategyKind<T>(string Name, Func<T, JsonObject?> Write, Func<JsonObject, T> Read)
    where T : class
{
    /// <summary>Creates the kind of a strategy without options.</summary>
    public static StrategyKind<T> Of(string name, T instance) => new(name, value => value.Equals(instance) ? [] : null, _ => instance);

    /// <summary>Creates the kind of a strategy that is itself a record of options.</summary>
    /// <param name="name">The name of the kind in files.</param>
    /// <param name="defaults">The values of options that are missing in a file.</param>
    /// <param name="json">Returns the JSON serialization of the options.</param>
    public static StrategyKind<T> Of<TRecord>(string name, TRecord defaults, Func<JsonTypeInfo<TRecord>> json)
        where TRecord : class, T
        => new(
            name,
            value => value is TRecord record ? JsonSerializer.SerializeToNode(record, json())!.AsObject() : null,
            options => OptionsJson.Complete(options, defaults, json()));
}
