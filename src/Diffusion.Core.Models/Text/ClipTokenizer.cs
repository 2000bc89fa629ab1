using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The byte-level BPE tokenizer of CLIP: lower case, one space for any white space, words by letters, digits one by one, and byte pairs
/// merged in the order in which they were learned.
/// </summary>
/// <remarks>
/// <para>Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", algorithm 1, over bytes as in
/// Radford et al. 2019, section 2.2; a word ends in <c>&lt;/w&gt;</c>. It follows transformers' <c>CLIPTokenizerFast</c>.</para>
/// <para>Text is normalised to NFC, for which .NET needs ICU: where it runs without (<c>InvariantGlobalization</c>), a text that
/// holds a combining diacritical mark is refused, any other is the same in both.</para>
/// <para>Safe for several threads at once.</para>
/// </remarks>
public sealed class ClipTokenizer
{
    private readonly Dictionary<string, int> _vocabulary;
    private readonly BytePairs _pairs;
    private readonly int _unknown;

    /// <summary>A tokenizer of a vocabulary.</summary>
    /// <param name="vocabulary">From tokens to their numbers, as in <c>vocab.json</c>.</param>
    /// <param name="merges">The pairs that are merged, first learned first, as in <c>merges.txt</c>.</param>
    /// <param name="options">Names and lengths; the defaults where null.</param>
    /// <exception cref="ArgumentException">
    /// A special token is missing from the vocabulary, a pair appears twice, or a length is out of range.
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

    /// <summary>Names and lengths.</summary>
    public ClipTokenizerOptions Options { get; }

    /// <summary>The number of the token before every text.</summary>
    public int StartToken { get; }

    /// <summary>The number of the token after every text.</summary>
    public int EndToken { get; }

    /// <summary>The number of the token that fills a short text up.</summary>
    public int PaddingToken { get; }

    /// <summary>The tokens of a text with start and end, cut to <see cref="ClipTokenizerOptions.MaxTokens"/>, not padded.</summary>
    /// <exception cref="ArgumentException">The text is not Unicode.</exception>
    /// <exception cref="PlatformNotSupportedException">The text needs normalisation, which this runtime cannot do.</exception>
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
    /// The tokens of texts for <see cref="ClipTextEncoder.Encode"/>, each padded to <see cref="ClipTokenizerOptions.MaxTokens"/>.
    /// </summary>
    /// <param name="texts">At least one.</param>
    /// <param name="device">Where the result goes; the CPU unless said otherwise.</param>
    /// <returns>[B, MaxTokens] int64; the caller's.</returns>
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
        : throw new ArgumentException($"The vocabulary of {_vocabulary.Count} tokens must have '{token}', it does not.", nameof(token));
}

/// <summary>The special tokens and the length of a <see cref="ClipTokenizer"/>.</summary>
public sealed record ClipTokenizerOptions
{
    private const string EndOfText = "<|endoftext|>";

    /// <summary>The token before every text (<c>bos_token</c>).</summary>
    public string Start { get; init; } = "<|startoftext|>";

    /// <summary>The token after every text (<c>eos_token</c>).</summary>
    public string End { get; init; } = EndOfText;

    /// <summary>The token that fills a short text up (<c>pad_token</c>): that of the end by default, <c>!</c> for some encoders.</summary>
    public string Padding { get; init; } = EndOfText;

    /// <summary>The token for what is not in the vocabulary (<c>unk_token</c>).</summary>
    public string Unknown { get; init; } = EndOfText;

    /// <summary>The length of a padded text, start and end among them (<c>model_max_length</c>). 77 by default.</summary>
    public int MaxTokens { get; init; } = 77;
}
