using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Diffusion.Core.Models;

/// <summary>
/// Strategies as JSON: a name, such as <c>"silu"</c>, or an object with a type and its options, such as
/// <c>{"type": "convolution", "padding": 1}</c>.
/// </summary>
/// <param name="kinds">Those of this library.</param>
internal sealed class StrategyConverter<T>(params StrategyKind<T>[] kinds) : JsonConverter<T>
    where T : class
{
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var node = JsonNode.Parse(ref reader);
        var name = node switch
        {
            JsonValue value when value.TryGetValue(out string? text) => text,
            JsonObject settings when settings["type"] is JsonValue type && type.TryGetValue(out string? text) => text,
            _ => throw new JsonException(
                $"A {typeof(T).Name} must be a name or an object with a 'type', got {node?.ToJsonString() ?? "null"}."),
        };
        var kind = Array.Find(kinds, kind => kind.Name == name)
            ?? throw new JsonException(
                $"There is no {typeof(T).Name} '{name}'; there are: {string.Join(", ", kinds.Select(kind => kind.Name))}.");
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
            $"A file cannot hold {value.GetType().Name} as {typeof(T).Name}, only: "
            + $"{string.Join(", ", kinds.Select(kind => kind.Name))}. Register the network under its own name.");
    }
}

/// <summary>One kind of a strategy, as files name it.</summary>
/// <param name="Name">The name.</param>
/// <param name="Write">Its options, or null for a strategy of another kind.</param>
/// <param name="Read">The strategy of some options.</param>
internal sealed record StrategyKind<T>(string Name, Func<T, JsonObject?> Write, Func<JsonObject, T> Read)
    where T : class
{
    /// <summary>A strategy without options.</summary>
    public static StrategyKind<T> Of(string name, T instance) => new(name, value => value.Equals(instance) ? [] : null, _ => instance);

    /// <summary>A strategy that is a record of options.</summary>
    /// <param name="name">The name.</param>
    /// <param name="defaults">What options have that a file does not name.</param>
    /// <param name="json">How the options are written.</param>
    public static StrategyKind<T> Of<TRecord>(string name, TRecord defaults, Func<JsonTypeInfo<TRecord>> json)
        where TRecord : class, T
        => new(
            name,
            value => value is TRecord record ? JsonSerializer.SerializeToNode(record, json())!.AsObject() : null,
            options => OptionsJson.Complete(options, defaults, json()));
}
