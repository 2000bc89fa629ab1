using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// JSON as read and written by Python and diffusers: the format of <c>json.dumps(value, indent=2, sort_keys=True)</c> with a line feed
/// at the end. Bare <c>Infinity</c> and <c>NaN</c>, which are not valid JSON, are represented by strings that begin with U+0000.
/// </summary>
internal static class PythonJson
{
    private const char Bare = '\0';

    private static readonly string[] _bareNumbers = ["Infinity", "-Infinity", "NaN"];

    /// <summary>Reads a file that contains an object.</summary>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">The text is not valid JSON, is not an object, or contains a key twice.</exception>
    public static JsonObject Read(string path, string what) => Parse(DiskFile.ReadText(path), $"{path}: {what}");

    /// <summary>Parses an object.</summary>
    /// <param name="json">The text.</param>
    /// <param name="what">A description of the text for messages, such as "A scheduler configuration".</param>
    /// <exception cref="InvalidDataException">The text is not valid JSON, is not an object, or contains a key twice.</exception>
    public static JsonObject Parse(string json, string what)
    {
        ArgumentNullException.ThrowIfNull(json);
        try
        {
            return ForeignJson.ParseObject(QuoteBareNumbers(json));
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{what} {error.Message}", error);
        }
    }

    /// <summary>Returns a number, or null if the value is not a number.</summary>
    public static double? NumberOf(JsonNode? value) => ForeignJson.NumberOf(value) ?? ForeignJson.TextOf(value)?.TrimStart(Bare) switch
    {
        "Infinity" => double.PositiveInfinity,
        "-Infinity" => double.NegativeInfinity,
        "NaN" => double.NaN,
        _ => null,
    };

    /// <summary>Returns the text of an object.</summary>
    public static string Write(JsonObject value)
    {
        var text = new StringBuilder();
        Write(text, value, 0);
        return text.Append('\n').ToString();
    }

    /// <summary>
    /// Returns a floating point number in the format of Python's <c>repr</c>: the fewest digits that identify it, always with a
    /// decimal point or an exponent.
    /// </summary>
    public static string Repr(double value)
    {
        if (!double.IsFinite(value))
            return double.IsNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
        var shortest = value.ToString("R", CultureInfo.InvariantCulture);
        var sign = shortest[0] == '-' ? "-" : "";
        var parts = shortest.TrimStart('-').Split('E');
        var (whole, fraction) = parts[0].Split('.') is [var left, var right] ? (left, right) : (parts[0], "");
        var digits = (whole + fraction).TrimStart('0');
        if (digits.Length == 0)
            return sign + "0.0";

        // The exponent of the first nonzero digit.
        var exponent = digits.Length - fraction.Length - 1 + (parts.Length > 1 ? int.Parse(parts[1], CultureInfo.InvariantCulture) : 0);
        digits = digits.TrimEnd('0');
        return sign + exponent switch
        {
            < -4 or >= 16 => $"{digits[0]}{(digits.Length > 1 ? "." + digits[1..] : "")}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):D2}",
            < 0 => $"0.{new string('0', -exponent - 1)}{digits}",
            _ when digits.Length <= exponent + 1 => $"{digits.PadRight(exponent + 1, '0')}.0",
            _ => $"{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}",
        };
    }

    private static void Write(StringBuilder text, JsonNode? value, int depth)
    {
        switch (value)
        {
            case null:
                text.Append("null");
                break;
            case JsonObject members:
                // Python sorts keys by code point, which is the order of their UTF-8 bytes.
                WriteItems(text, '{', '}', depth, members.OrderBy(pair => pair.Key, _byCodePoint), pair =>
                {
                    WriteString(text, pair.Key);
                    text.Append(": ");
                    Write(text, pair.Value, depth + 1);
                });
                break;
            case JsonArray items:
                WriteItems(text, '[', ']', depth, items, item => Write(text, item, depth + 1));
                break;
            default:
                WriteScalar(text, value);
                break;
        }
    }

    private static readonly Comparer<string> _byCodePoint = Comparer<string>.Create(
        (a, b) => Encoding.UTF8.GetBytes(a).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(b)));

    private static void WriteItems<T>(StringBuilder text, char open, char close, int depth, IEnumerable<T> items, Action<T> write)
    {
        text.Append(open);
        var isFirst = true;
        foreach (var item in items)
        {
            text.Append(isFirst ? "\n" : ",\n").Append(' ', 2 * (depth + 1));
            write(item);
            isFirst = false;
        }

        if (!isFirst)
            text.Append('\n').Append(' ', 2 * depth);
        text.Append(close);
    }

    private static void WriteScalar(StringBuilder text, JsonNode value)
    {
        switch (value.GetValueKind())
        {
            case JsonValueKind.String when ForeignJson.TextOf(value) is { } content:
                if (content.StartsWith(Bare) && _bareNumbers.Contains(content[1..]))
                    text.Append(content.AsSpan(1));
                else
                    WriteString(text, content);
                break;
            case JsonValueKind.Number:
                var raw = value.ToJsonString();
                var isFloating = raw.AsSpan().IndexOfAny('.', 'e', 'E') >= 0 || (value is JsonValue number && number.TryGetValue(out JsonElement _) == false
                    && number.GetValue<object>() is double or float);
                text.Append(isFloating ? Repr(double.Parse(raw, CultureInfo.InvariantCulture)) : raw);
                break;
            default:
                text.Append(value.ToJsonString());
                break;
        }
    }

    private static void WriteString(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (var c in value)
        {
            _ = c switch
            {
                '"' => text.Append("\\\""),
                '\\' => text.Append("\\\\"),
                '\n' => text.Append("\\n"),
                '\r' => text.Append("\\r"),
                '\t' => text.Append("\\t"),
                '\f' => text.Append("\\f"),
                '\b' => text.Append("\\b"),
                < ' ' or > '~' and not '\u007f' => text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
                _ => text.Append(c),
            };
        }

        text.Append('"');
    }

    /// <summary>Replaces bare numbers outside strings by strings that begin with U+0000.</summary>
    private static string QuoteBareNumbers(string json)
    {
        var text = new StringBuilder();
        var copied = 0;
        for (var i = 0; i < json.Length; i++)
        {
            if (json[i] == '"')
            {
                // The closing quote is the next one that no backslash escapes.
                for (i++; i < json.Length && json[i] != '"'; i++)
                    i += json[i] == '\\' ? 1 : 0;
            }
            else if (Array.Find(_bareNumbers, number => IsWord(json, i, number)) is { } bare)
            {
                text.Append(json.AsSpan(copied, i - copied)).Append("\"\\u0000").Append(bare).Append('"');
                copied = i + bare.Length;
                i = copied - 1;
            }
        }

        return copied == 0 ? json : text.Append(json.AsSpan(copied)).ToString();
    }

    private static bool IsWord(string json, int start, string word)
        => string.CompareOrdinal(json, start, word, 0, word.Length) == 0
            && (start == 0 || word[0] == '-' || !IsWordCharacter(json[start - 1]))
            && (start + word.Length >= json.Length || !IsWordCharacter(json[start + word.Length]));

    private static bool IsWordCharacter(char c) => char.IsLetterOrDigit(c) || c == '_';
}
