using System.Text.Json;
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

    private static Dictionary<string, int> ReadVocabulary(string path)
    {
        using var file = HuggingFaceJson.Open(path);
        return Vocabulary(file, file.Root);
    }

    private static Dictionary<string, int> Vocabulary(HuggingFaceJson file, JsonElement tokens)
    {
        var result = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var token in tokens.EnumerateObject())
        {
            if (token.Value.ValueKind != JsonValueKind.Number || !token.Value.TryGetInt32(out var number) || number < 0)
                throw file.Unexpected(token.Name, "a number from 0", token.Value);
            if (!result.TryAdd(token.Name, number))
                throw new InvalidDataException($"{file.Path}: the token '{token.Name}' appears more than once.");
        }

        return result;
    }

    private static List<(string First, string Second)> ReadMerges(string path)
    {
        if (!File.Exists(path))
            throw new FileNotFoundException($"There is no file {path}.", path);
        var merges = new List<(string, string)>();
        foreach (var line in File.ReadLines(path))
        {
            if (line.Length > 0 && !(merges.Count == 0 && line.StartsWith("#version", StringComparison.Ordinal)))
                merges.Add(Pair(path, line));
        }

        return merges;
    }

    private static (string First, string Second) Pair(string path, string line)
        => line.Split(' ') is [{ Length: > 0 } first, { Length: > 0 } second]
            ? (first, second)
            : throw new InvalidDataException($"{path}: a merge must be two tokens and a space, got '{line}'.");

    private static (Dictionary<string, int> Vocabulary, List<(string First, string Second)> Merges) ReadWhole(string path)
    {
        using var file = HuggingFaceJson.Open(path);
        if (file.Find("model") is not { ValueKind: JsonValueKind.Object } model
            || !(model.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.GetString() == "BPE"))
            throw new NotSupportedException($"{path}: expected a model of type BPE, got another.");
        if (!model.TryGetProperty("end_of_word_suffix", out var suffix)
            || suffix.ValueKind != JsonValueKind.String || suffix.GetString() != "</w>")
            throw new NotSupportedException($"{path}: the end_of_word_suffix of a CLIP tokenizer must be '</w>'.");
        if (!model.TryGetProperty("vocab", out var tokens) || tokens.ValueKind != JsonValueKind.Object
            || !model.TryGetProperty("merges", out var pairs) || pairs.ValueKind != JsonValueKind.Array)
            throw new InvalidDataException($"{path}: the model must have a vocab and merges.");
        return (Vocabulary(file, tokens), [.. pairs.EnumerateArray().Select(pair => Pair(path, pair))]);
    }

    // Older versions write "a b", newer versions write ["a", "b"].
    private static (string First, string Second) Pair(string path, JsonElement pair)
    {
        if (pair.ValueKind == JsonValueKind.String)
            return Pair(path, pair.GetString()!);
        return pair.ValueKind == JsonValueKind.Array && pair.GetArrayLength() == 2
            && pair[0].ValueKind == JsonValueKind.String && pair[1].ValueKind == JsonValueKind.String
            ? (pair[0].GetString()!, pair[1].GetString()!)
            : throw new InvalidDataException($"{path}: a merge must be two tokens, got {pair.GetRawText()}.");
    }

    private static ClipTokenizerOptions ReadOptions(string folder)
    {
        var options = new ClipTokenizerOptions();
        foreach (var name in new[] { "special_tokens_map.json", "tokenizer_config.json" })
        {
            var path = Path.Combine(folder, name);
            if (!File.Exists(path))
                continue;
            using var file = HuggingFaceJson.Open(path);
            options = options with
            {
                Start = Token(file, "bos_token", options.Start),
                End = Token(file, "eos_token", options.End),
                Padding = Token(file, "pad_token", options.Padding),
                Unknown = Token(file, "unk_token", options.Unknown),
                MaxTokens = file.Number("model_max_length", options.MaxTokens) is var length && length < NoLimit
                    ? (int)length
                    : options.MaxTokens,
            };
        }

        return options;
    }

    // Either a string, or an object that contains the string and how it is matched.
    private static string Token(HuggingFaceJson file, string name, string missing)
    {
        if (file.Find(name) is not { } value)
            return missing;
        if (value.ValueKind == JsonValueKind.Object && value.TryGetProperty("content", out var content))
            value = content;
        return value.ValueKind == JsonValueKind.String ? value.GetString()! : throw file.Unexpected(name, "a token", value);
    }
}
