using System.Text;
using System.Text.Json.Nodes;

namespace Diffusion.Core.Testing;

/// <summary>Damages valid files. The damage depends only on the random generator.</summary>
public static class Mutation
{
    // Values that JSON text can have, including some that a JsonNode cannot write.
    private static readonly string[] _values =
    [
        "null", "true", "false", "0", "-1", "1", "2", "3", "0.5", "-0.0", "1e9", "1000000000", "2147483647", "2147483648", "-2147483648",
        "9223372036854775807", "18446744073709551616", "1e-300", "1e300", "1e999", "-1e999", "NaN", "-Infinity", "\"\"", "\"a\"", "\"NaN\"",
        "\"\\ud800\"", "\"\\u0000\"", "\"../x\"", "[]", "{}", "[[]]", "[null]", "[0, 0]", "[1, \"a\"]", "{\"\": 1}", "{\"type\": null}",
        new string('[', 100), $"\"{new string('x', 10_000)}\"",
    ];

    private static readonly string[] _names = ["", "a", "type", "\\ud800", "__metadata__", "_class_name"];

    /// <summary>Returns a damaged text: one to three values or names of the JSON are replaced, or characters of the text.</summary>
    public static string Json(string original, Random random)
    {
        ArgumentNullException.ThrowIfNull(original);
        ArgumentNullException.ThrowIfNull(random);
        if (random.Next(5) == 0)
            return Encoding.UTF8.GetString(Bytes(Encoding.UTF8.GetBytes(original), random));
        var root = new JsonArray(JsonNode.Parse(original));
        var raw = new Dictionary<string, string>();
        for (var injuries = random.Next(3) == 0 ? random.Next(2, 4) : 1; injuries > 0; injuries--)
            Injure(root, raw, random);
        var text = root[0]?.ToJsonString() ?? "null";
        foreach (var (mark, value) in raw)
            text = text.Replace($"\"{mark}\"", value, StringComparison.Ordinal);
        return text;
    }

    /// <summary>Returns damaged bytes: bits that are flipped, a part that is missing, repeated or added.</summary>
    public static byte[] Bytes(byte[] original, Random random)
    {
        ArgumentNullException.ThrowIfNull(original);
        ArgumentNullException.ThrowIfNull(random);
        List<byte> bytes = [.. original];
        for (var injuries = random.Next(3) == 0 ? random.Next(2, 5) : 1; injuries > 0 && bytes.Count > 0; injuries--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                case 3:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 16), bytes.Count - at));
                    break;
                case 4:
                    bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.Next(1, 64), bytes.Count - at)));
                    break;
                default:
                    bytes.InsertRange(at, Encoding.UTF8.GetBytes("{}[]\",:\\\0 \n"[random.Next(11)].ToString()));
                    break;
            }
        }

        return [.. bytes];
    }

    private static void Injure(JsonArray root, Dictionary<string, string> raw, Random random)
    {
        List<(JsonNode Parent, string? Name, int Index)> places = [];
        Collect(root, places);
        var (parent, name, index) = places[random.Next(places.Count)];
        var mark = $"@@{raw.Count}@@";
        if (parent is JsonObject members && random.Next(4) == 0)
        {
            var value = members[name!]?.DeepClone();
            switch (random.Next(3))
            {
                case 0:
                    members.Remove(name!);
                    return;
                case 1:
                    // The name of another member, or of this one, so that it appears twice.
                    raw[mark] = JsonValue.Create(members.ElementAt(random.Next(members.Count)).Key).ToJsonString();
                    break;
                default:
                    raw[mark] = $"\"{_names[random.Next(_names.Length)]}\"";
                    if (random.Next(2) == 0)
                        members.Remove(name!);
                    break;
            }

            members[mark] = value;
            return;
        }

        JsonNode? other;
        if (random.Next(4) == 0)
        {
            var (from, fromName, fromIndex) = places[random.Next(places.Count)];
            other = (fromName is null ? from[fromIndex] : from[fromName])?.DeepClone();
        }
        else
        {
            raw[mark] = _values[random.Next(_values.Length)];
            other = mark;
        }

        if (parent is JsonArray items)
        {
            if (!ReferenceEquals(parent, root) && random.Next(4) == 0)
                items.RemoveAt(index);
            else if (!ReferenceEquals(parent, root) && random.Next(4) == 0)
                items.Add(other);
            else
                items[index] = other;
        }
        else
        {
            parent[name!] = other;
        }
    }

    private static void Collect(JsonNode? node, List<(JsonNode, string?, int)> places)
    {
        if (node is JsonObject members)
        {
            foreach (var (name, value) in members)
            {
                places.Add((members, name, 0));
                Collect(value, places);
            }
        }
        else if (node is JsonArray items)
        {
            for (var k = 0; k < items.Count; k++)
            {
                places.Add((items, null, k));
                Collect(items[k], places);
            }
        }
    }
}
