using System.Globalization;
using System.Text.Json.Nodes;

namespace Diffusion.Core;

/// <summary>What a run was made with, section by section, and the first difference from another in words.</summary>
internal static class RunIdentity
{
    /// <summary>Room for mathematical libraries that differ in the last digits.</summary>
    private const double Tolerance = 1e-9;

    /// <summary>The options of a network, where files can hold them; its tensors have names and shapes in any case.</summary>
    private const string Network = "network";

    /// <summary>What changes the memory or time a network takes, and no result.</summary>
    private static readonly string[] Harmless = ["checkpoint_activations"];

    /// <summary>The first difference, such as <c>optimizer AdamW, this trainer has Lion</c>; null where there is none.</summary>
    /// <remarks>Only text compares: a number in memory has a type, which one that was read has not.</remarks>
    public static string? Difference(JsonObject before, JsonObject now) => Compare("", before, JsonNode.Parse(now.ToJsonString()));

    private static string? Compare(string path, JsonNode? before, JsonNode? now)
    {
        switch (before, now)
        {
            case (JsonObject first, JsonObject second):
                return first.Select(entry => entry.Key).Union(second.Select(entry => entry.Key))
                    .Where(key => !Harmless.Contains(key) && !(key == Network && (first[key] is null || second[key] is null)))
                    .Select(key => Compare(path.Length == 0 ? key : $"{path}.{key}", first[key], second[key]))
                    .FirstOrDefault(difference => difference is not null);
            case (JsonArray first, JsonArray second) when first.Count == second.Count:
                return first.Zip(second).All(pair => Compare(path, pair.First, pair.Second) is null) ? null : Words(path, before, now);
            case (JsonValue first, JsonValue second) when first.TryGetValue<double>(out var a) && second.TryGetValue<double>(out var b):
                return Math.Abs(a - b) <= Tolerance * Math.Max(Math.Abs(a), Math.Abs(b)) ? null : Words(path, before, now);
            default:
                return JsonNode.DeepEquals(before, now) ? null : Words(path, before, now);
        }
    }

    private static string Words(string path, JsonNode? before, JsonNode? now)
        => $"{path.Replace('_', ' ')} {Text(before)}, this trainer has {Text(now)}";

    private static string Text(JsonNode? node) => node switch
    {
        null => "none",
        JsonArray array => $"[{string.Join(", ", array.Select(Text))}]",
        JsonValue value when value.TryGetValue<double>(out var number) => number.ToString(CultureInfo.InvariantCulture),
        JsonValue value when value.TryGetValue<string>(out var text) => text,
        _ => node.ToJsonString(),
    };
}
