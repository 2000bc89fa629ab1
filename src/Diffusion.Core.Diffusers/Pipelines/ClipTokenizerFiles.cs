using System.Text.Json.Nodes;
using Diffusion.Core.Models;

namespace Diffusion.Core.Diffusers;

/// <summary>Reads the files of a CLIP tokenizer.</summary>
internal static class ClipTokenizerFiles
{
    private const string VocabularyFile = "vocab.json";
    private const string MergesFile = "merges.txt";
    private const string WholeFile = "tokenizer.json";

    // Hugging Face writes a larger number if a tokenizer has no maximum length.
    private const double NoLimit = 1e6;

    /// <inheritdoc cref="ClipText.LoadTokenizer"/>
    public static ClipTokenizer Load(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var (vocabulary, merges) = File.Exists(Path.Combine(folder, VocabularyFile))
            ? (ReadVocabulary(Path.Combine(folder, VocabularyFile)), ReadMerges(Path.Combine(folder, MergesFile)))
            : ReadWhole(Path.Combine(folder, WholeFile));
        try
        {
            return new ClipTokenizer(vocabulary, merges, ReadOptions(folder));
        }
        catch (ArgumentException e)
        {
            throw new InvalidDataException($"{folder}: {e.Message}", e);
        }
    }

    private static Dictionary<string, int> ReadVocabulary(string path) => Vocabulary(path, PythonJson.Read(path, "A vocabulary"));

    private static Dictionary<string, int> Vocabulary(string path, JsonObject tokens)
    {
        var result = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (token, value) in tokens)
        {
            if (ForeignJson.WholeOf(value) is not ({ } number and >= 0 and <= int.MaxValue))
                throw Unexpected(path, token, "a number from 0", value);
            result.Add(token, (int)number);
        }

        return result;
    }

    private static List<(string First, string Second)> ReadMerges(string path)
    {
        var merges = new List<(string, string)>();
        using var lines = new StringReader(DiskFile.ReadText(path));
        while (lines.ReadLine() is { } line)
        {
            if (line.Length > 0 && !(merges.Count == 0 && line.StartsWith("#version", StringComparison.Ordinal)))
                merges.Add(Pair(path, line));
        }

        return merges;
    }

    private static (string First, string Second) Pair(string path, string line)
        => line.Split(' ') is [{ Length: > 0 } first, { Length: > 0 } second]
            ? (first, second)
            : throw new InvalidDataException($"{path}: a merge must be two tokens and a space, got {ForeignJson.Show(line)}.");

    private static (Dictionary<string, int> Vocabulary, List<(string First, string Second)> Merges) ReadWhole(string path)
    {
        var file = PythonJson.Read(path, "A tokenizer");
        if (file["model"] is not JsonObject model || ForeignJson.TextOf(model["type"]) != "BPE")
            throw new NotSupportedException($"{path}: expected a model of type BPE, got {ForeignJson.Show(file["model"])}.");
        if (ForeignJson.TextOf(model["end_of_word_suffix"]) != "</w>")
            throw new NotSupportedException(
                $"{path}: the end_of_word_suffix of a CLIP tokenizer must be '</w>', got {ForeignJson.Show(model["end_of_word_suffix"])}.");
        if (model["vocab"] is not JsonObject tokens || model["merges"] is not JsonArray pairs)
            throw new InvalidDataException($"{path}: the model must have a vocab and merges.");
        return (Vocabulary(path, tokens), [.. pairs.Select(pair => Pair(path, pair))]);
    }

    // Older versions write "a b", newer versions write ["a", "b"].
    private static (string First, string Second) Pair(string path, JsonNode? pair)
    {
        if (ForeignJson.TextOf(pair) is { } line)
            return Pair(path, line);
        return pair is JsonArray { Count: 2 } both && ForeignJson.TextOf(both[0]) is { } first && ForeignJson.TextOf(both[1]) is { } second
            ? (first, second)
            : throw new InvalidDataException($"{path}: a merge must be two tokens, got {ForeignJson.Show(pair)}.");
    }

    private static ClipTokenizerOptions ReadOptions(string folder)
    {
        var options = new ClipTokenizerOptions();
        foreach (var name in new[] { "special_tokens_map.json", "tokenizer_config.json" })
        {
            var path = Path.Combine(folder, name);
            if (!File.Exists(path))
                continue;
            var file = PythonJson.Read(path, "The settings of a tokenizer");
            options = options with
            {
                Start = Token(path, file, "bos_token", options.Start),
                End = Token(path, file, "eos_token", options.End),
                Padding = Token(path, file, "pad_token", options.Padding),
                Unknown = Token(path, file, "unk_token", options.Unknown),
                MaxTokens = MaxTokens(path, file["model_max_length"], options.MaxTokens),
            };
        }

        return options;
    }

    private static int MaxTokens(string path, JsonNode? value, int missing)
    {
        if (value is null)
            return missing;
        var length = ForeignJson.NumberOf(value) ?? throw Unexpected(path, "model_max_length", "a number", value);
        return length >= NoLimit ? missing
            : ForeignJson.WholeOf(value) is { } whole and >= 2 ? (int)whole
            : throw Unexpected(path, "model_max_length", "a whole number from 2", value);
    }

    // Either a string, or an object that contains the string and how it is matched.
    private static string Token(string path, JsonObject file, string name, string missing)
    {
        if (file[name] is not { } value)
            return missing;
        return ForeignJson.TextOf(value is JsonObject settings ? settings["content"] : value)
            ?? throw Unexpected(path, name, "a token", value);
    }

    private static InvalidDataException Unexpected(string path, string name, string expected, JsonNode? value)
        => new($"{path}: '{name}' must be {expected}, got {ForeignJson.Show(value)}.");
}
