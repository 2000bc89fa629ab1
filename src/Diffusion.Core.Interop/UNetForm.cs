using System.Text.Json.Nodes;
using Diffusion.Core.Models;

namespace Diffusion.Core.Interop;

/// <summary>
/// The options of a U-Net in one form for each network: what follows from other options is written out, what changes nothing is left out.
/// </summary>
internal static class UNetForm
{
    // What levels say in full, and what has no part in the answer of the network.
    private static readonly string[] _left =
    [
        "width", "multipliers", "level_widths", "layers_per_block", "attention_resolutions", "head_width", "middle_attention",
        "residual_resampling", "downsample_padding", "classes", "zero_output", "checkpoint_activations",
    ];

    /// <summary>The form of options, as model files have them.</summary>
    public static JsonObject Of(UNetOptions options)
    {
        var json = (options with
        {
            Levels = [.. options.ToLevels().Select(level => level with { Up = level.Up ?? level.Down })],
            Middle = options.ToMiddle(),
            OutChannels = options.OutChannels ?? options.Channels,
            GroupNormGroups = options.Groups(),
            EmbeddingWidth = options.EmbeddingWidth ?? 4 * options.ToLevels()[0].Width,
            OuterActivation = options.OuterActivation ?? options.Activation,
            ClassEmbedding = options.ClassEmbedding ?? (options.Classes is { } classes ? UNetConditioning.Classes(classes) : null),
            Classes = null,
        }).ToJson();
        foreach (var name in _left)
            json.Remove(name);
        foreach (var level in json["levels"]!.AsArray())
        {
            WriteOut(level!["down"]!, options);
            WriteOut(level["up"]!, options);

            // The way up pads by itself.
            if (level["up"]!["resampling"] is JsonObject resampling)
                resampling.Remove("padding");
            level["up"]!.AsObject().Remove("middle_layers");
            level["down"]!.AsObject().Remove("middle_layers");
        }

        if (json["middle"] is JsonObject middle)
        {
            WriteOut(middle, options);
            middle.Remove("resampling");
        }

        return json;
    }

    /// <summary>The name of a strategy; "none" where there is none.</summary>
    public static string TypeOf(JsonNode? node) => node switch
    {
        JsonObject settings => settings["type"]!.GetValue<string>(),
        JsonValue name => name.GetValue<string>(),
        _ => "none",
    };

    /// <summary>The first option in which two forms differ, and its value in the first of them; null where they do not.</summary>
    public static (string Option, string Value)? Difference(JsonNode? one, JsonNode? other, string path = "")
    {
        if (JsonNode.DeepEquals(one, other))
            return null;
        IEnumerable<(string, JsonNode?, JsonNode?)> parts = (one, other) switch
        {
            (JsonObject left, JsonObject right) when TypeOrNull(left) == TypeOrNull(right)
                => left.Select(pair => pair.Key).Union(right.Select(pair => pair.Key))
                    .Select(name => ($"{path}.{name}", left[name], right[name])),
            (JsonArray left, JsonArray right) when left.Count == right.Count => left.Select((item, i) => ($"{path}[{i}]", item, right[i])),
            _ => [],
        };
        return parts.Select(part => Difference(part.Item2, part.Item3, part.Item1)).FirstOrDefault(found => found is not null)
            ?? (path.TrimStart('.'), one?.ToJsonString() ?? "null");
    }

    private static string? TypeOrNull(JsonObject settings) => (string?)settings["type"];

    /// <summary>The groups of a norm that has those of the network.</summary>
    private static void WriteOut(JsonNode block, UNetOptions options)
    {
        if (block["attention"] is not JsonObject attention || TypeOf(attention) != "self_attention")
            return;
        if (!attention["norm"]!.GetValue<bool>())
            attention.Remove("groups");
        else
            attention["groups"] ??= options.Groups();
    }
}
