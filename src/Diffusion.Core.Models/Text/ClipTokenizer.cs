using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The byte-level BPE tokenizer of CLIP: a text is converted to lower case and split into runs of letters, single digits and runs of
/// other characters without white space; then byte pairs are merged in the order in which they were learned.
/// </summary>
/// <remarks>
/// <para>Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", algorithm 1, applied to bytes as in
/// Radford et al. 2019, section 2.2; each word ends with <c>&lt;/w&gt;</c>. It follows transformers' <c>CLIPTokenizerFast</c>.</para>
/// <para>Text is normalized to NFC, for which .NET needs ICU. Without ICU (<c>InvariantGlobalization</c>), a text that contains a
/// combining diacritical mark throws; the tokens of all other texts are the same.</para>
/// <para>The tokenizer is thread-safe.</para>
/// </remarks>
public sealed class ClipTokenizer
{
    private readonly Dictionary<string, int> _vocabulary;
    private readonly BytePairs _pairs;
    private readonly int _unknown;

    /// <summary>Creates a tokenizer from a vocabulary.</summary>
    /// <param name="vocabulary">The ID of each token, as in <c>vocab.json</c>.</param>
    /// <param name="merges">The pairs to merge, in the order in which they were learned, as in <c>merges.txt</c>.</param>
    /// <param name="options">The special tokens and the maximum length; <see langword="null"/> for the defaults.</param>
    /// <exception cref="ArgumentException">
    /// A special token is missing from the vocabulary, a pair appears twice, or the maximum length is less than 2.
    /// </exception>
    public ClipTokenizer(
        IReadOnlyDictionary<string, int> vocabulary,
        IEnumerable<(string First, string Second)> merges,
        ClipTokenizerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(vocabulary);
        ArgumentNullException.ThrowIfNull(merges);
        Options = options ?? new ClipTokenizerOptions();
        _vocabulary = new Dictionary<string, int>(vocabulary, StringComparer.Ordinal);
        _pairs = new BytePairs(merges);
        Guard.InRange(Options.MaxTokens, 2, int.MaxValue, nameof(Options.MaxTokens));
        (StartToken, EndToken, PaddingToken) = (Special(Options.Start), Special(Options.End), Special(Options.Padding));
        _unknown = Special(Options.Unknown);
    }

    /// <summary>The special tokens and the maximum length.</summary>
    public ClipTokenizerOptions Options { get; }

    /// <summary>The ID of the token before every text.</summary>
    public int StartToken { get; }

    /// <summary>The ID of the token after every text.</summary>
    public int EndToken { get; }

    /// <summary>The ID of the padding token.</summary>
    public int PaddingToken { get; }

    /// <summary>
    /// Encodes a text as token IDs with the start and end tokens, truncated to <see cref="ClipTokenizerOptions.MaxTokens"/>, without
    /// padding.
    /// </summary>
    /// <exception cref="ArgumentException">The text is not valid Unicode.</exception>
    /// <exception cref="PlatformNotSupportedException">The text needs Unicode normalization, which requires ICU.</exception>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var tokens = new List<int> { StartToken };
        foreach (var word in ClipWords.Split(text, [Options.Start, Options.End]))
        {
            if (tokens.Count >= Options.MaxTokens)
                break;
            if (word == Options.Start || word == Options.End)
                tokens.Add(_vocabulary[word]);
            else
                tokens.AddRange(_pairs.Merge(word).Select(token => _vocabulary.GetValueOrDefault(token, _unknown)));
        }

        if (tokens.Count >= Options.MaxTokens)
            tokens.RemoveRange(Options.MaxTokens - 1, tokens.Count - Options.MaxTokens + 1);
        tokens.Add(EndToken);
        return [.. tokens];
    }

    /// <summary>
    /// Encodes texts as input of a <see cref="ClipTextEncoder"/>, each padded to <see cref="ClipTokenizerOptions.MaxTokens"/>.
    /// </summary>
    /// <param name="texts">At least one text.</param>
    /// <param name="device">The device of the result. The default is the CPU.</param>
    /// <returns>[B, MaxTokens] int64. The caller must dispose the returned tensor.</returns>
    /// <inheritdoc cref="Encode" path="/exception"/>
    public Tensor EncodeBatch(IReadOnlyList<string> texts, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(texts);
        if (texts.Count == 0)
            throw new ArgumentException("There must be at least one text, got none.", nameof(texts));
        var rows = new long[texts.Count * (long)Options.MaxTokens];
        Array.Fill(rows, PaddingToken);
        for (var k = 0; k < texts.Count; k++)
        {
            var tokens = Encode(texts[k]);
            for (var i = 0; i < tokens.Length; i++)
                rows[(k * (long)Options.MaxTokens) + i] = tokens[i];
        }

        using var flat = tensor(rows, dtype: ScalarType.Int64);
        using var batch = flat.view(texts.Count, Options.MaxTokens);
        return batch.to(device ?? CPU, copy: true);
    }

    private int Special(string token) => _vocabulary.TryGetValue(token, out var number)
        ? number
        : throw new ArgumentException(
            Invariant($"The vocabulary of {_vocabulary.Count} tokens must have '{token}', it does not."), nameof(token));
}

/// <summary>The special tokens and the maximum length of a <see cref="ClipTokenizer"/>.</summary>
public sealed record ClipTokenizerOptions
{
    private const string EndOfText = "<|endoftext|>";

    /// <summary>The token before every text (<c>bos_token</c>). The default is <c>&lt;|startoftext|&gt;</c>.</summary>
    public string Start { get; init; } = "<|startoftext|>";

    /// <summary>The token after every text (<c>eos_token</c>). The default is <c>&lt;|endoftext|&gt;</c>.</summary>
    public string End { get; init; } = EndOfText;

    /// <summary>The padding token (<c>pad_token</c>). The default is the end token; some encoders use <c>!</c>.</summary>
    public string Padding { get; init; } = EndOfText;

    /// <summary>The token for pieces of text that are not in the vocabulary (<c>unk_token</c>). The default is the end token.</summary>
    public string Unknown { get; init; } = EndOfText;

    /// <summary>The length of a padded text, including the start and end tokens (<c>model_max_length</c>). The default is 77.</summary>
    public int MaxTokens { get; init; } = 77;
}
