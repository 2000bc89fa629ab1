using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Diffusion.Core;

/// <summary>
/// Reads JSON from files, whose values can be of any type. The methods that return <see langword="null"/> do so for a value of another
/// type; the others throw a <see cref="JsonException"/> with the path of the value, what was expected, and what was found.
/// </summary>
[ExcludeFromCodeCoverage]
internal static class ForeignJson
{
    private const int ShownLength = 100;

    /// <summary>Parses a text. All names and strings in the result are valid Unicode, and the names in an object are unique.</summary>
    /// <exception cref="JsonException">The text is not such JSON.</exception>
    public static JsonNode? Parse(string text)
    {
        try
        {
            var node = JsonNode.Parse(text, null, new JsonDocumentOptions { AllowDuplicateProperties = false });
            ReadAll(node);
            return node;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            // System.Text.Json throws the latter two for a lone surrogate, such as "\ud800".
            throw new JsonException($"must be JSON: {e.Message}", e);
        }
    }

    /// <summary>Parses a text that must be an object.</summary>
    /// <exception cref="JsonException">The text is not such JSON, or not an object.</exception>
    public static JsonObject ParseObject(string text)
    {
        var node = Parse(text);
        return node as JsonObject ?? throw new JsonException(Invariant($"must be a JSON object, got {KindOf(node)} {Show(node)}"));
    }

    /// <summary>Returns the kind of a value.</summary>
    public static JsonValueKind KindOf(JsonNode? node) => node?.GetValueKind() ?? JsonValueKind.Null;

    /// <summary>Returns a value as it is shown in messages: its JSON, shortened.</summary>
    public static string Show(JsonNode? node)
    {
        var text = node?.ToJsonString() ?? "null";
        return text.Length <= ShownLength ? text : $"{text.AsSpan(0, ShownLength)}... ({text.Length} characters)";
    }

    /// <summary>Returns a string.</summary>
    public static string? TextOf(JsonNode? node) => KindOf(node) == JsonValueKind.String ? node!.GetValue<string>() : null;

    /// <summary>Returns true or false.</summary>
    public static bool? FlagOf(JsonNode? node) => KindOf(node) switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    /// <summary>Returns a number, which is infinite if it is too large for a double.</summary>
    public static double? NumberOf(JsonNode? node)
        => KindOf(node) == JsonValueKind.Number ? double.Parse(node!.ToJsonString(), CultureInfo.InvariantCulture) : null;

    /// <summary>Returns a whole number, which may be written with a decimal point.</summary>
    public static long? WholeOf(JsonNode? node)
        => KindOf(node) != JsonValueKind.Number ? null
            : long.TryParse(node!.ToJsonString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) ? whole
            : NumberOf(node) is { } number && Math.Abs(number) <= 1L << 53 && number == Math.Floor(number) ? (long)number
            : null;

    /// <summary>Returns the exception for a member of the wrong type.</summary>
    public static JsonException Unexpected(JsonObject parent, string name, string expected)
        => new($"'{parent.GetPath()}.{name}' must be {expected}, got {(parent.ContainsKey(name) ? Show(parent[name]) : "nothing")}");

    /// <summary>Returns a member that is an object.</summary>
    public static JsonObject Object(JsonObject parent, string name)
        => parent[name] as JsonObject ?? throw Unexpected(parent, name, "an object");

    /// <summary>Returns a member that is a string.</summary>
    public static string Text(JsonObject parent, string name) => TextOf(parent[name]) ?? throw Unexpected(parent, name, "a string");

    /// <summary>Returns a member that is true or false.</summary>
    public static bool Flag(JsonObject parent, string name) => FlagOf(parent[name]) ?? throw Unexpected(parent, name, "true or false");

    /// <summary>Returns a member that is a finite number.</summary>
    public static double Number(JsonObject parent, string name)
        => FiniteOf(parent[name]) ?? throw Unexpected(parent, name, "a finite number");

    /// <summary>Returns a member that is a whole number of 32 bits.</summary>
    public static int Whole(JsonObject parent, string name)
        => WholeOf(parent[name]) is { } whole and >= int.MinValue and <= int.MaxValue
            ? (int)whole
            : throw Unexpected(parent, name, "a whole number");

    /// <summary>Returns a member that is a list of finite numbers.</summary>
    public static double[] Numbers(JsonObject parent, string name)
    {
        const string Expected = "a list of finite numbers";
        var list = parent[name] as JsonArray ?? throw Unexpected(parent, name, Expected);
        return [.. list.Select(item => FiniteOf(item) ?? throw Unexpected(parent, name, Expected))];
    }

    private static double? FiniteOf(JsonNode? node) => NumberOf(node) is { } number && double.IsFinite(number) ? number : null;

    // A JsonNode decodes its names and strings when they are read, and throws there if they are not valid.
    private static void ReadAll(JsonNode? node)
    {
        switch (node)
        {
            case JsonObject members:
                foreach (var (_, value) in members)
                    ReadAll(value);
                break;
            case JsonArray items:
                foreach (var item in items)
                    ReadAll(item);
                break;
            default:
                TextOf(node);
                break;
        }
    }
}
