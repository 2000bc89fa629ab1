using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace Diffusion.Core.Models;

/// <summary>Options from JSON that need not name them all.</summary>
internal static class OptionsJson
{
    /// <summary>Options where what is not named, because the file is older than the option, has its default.</summary>
    /// <exception cref="JsonException">An option is unknown or has the wrong type.</exception>
    public static TOptions Complete<TOptions>(JsonObject options, TOptions defaults, JsonTypeInfo<TOptions> json)
        where TOptions : class
    {
        var complete = JsonSerializer.SerializeToNode(defaults, json)!.AsObject();
        Overlay(complete, options);
        return complete.Deserialize(json)!;
    }

    private static void Overlay(JsonObject target, JsonObject source)
    {
        foreach (var (key, value) in source)
        {
            if (!target.TryGetPropertyValue(key, out var present))
                throw new JsonException($"There is no option '{key}'; there are: {string.Join(", ", target.Select(pair => pair.Key))}.");

            // Options within options are completed too; strategies, which have a type, take each other's place.
            if (value is JsonObject inner && present is JsonObject outer && !inner.ContainsKey("type") && !outer.ContainsKey("type"))
                Overlay(outer, inner);
            else
                target[key] = value?.DeepClone();
        }
    }
}
