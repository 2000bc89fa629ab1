using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace Diffusion.Core.Models;

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
