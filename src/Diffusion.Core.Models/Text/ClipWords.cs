using System.Globalization;
using System.Text;

namespace Diffusion.Core.Models;

/// <summary>
/// Splits a text into words that are tokenized separately: special tokens, the endings 's, 't, 're, 've, 'm, 'll and 'd, runs of letters,
/// single digits, and runs of other characters except white space.
/// </summary>
internal static class ClipWords
{
    private const string Decomposed = "e\u0301";

    private static readonly string[] _endings = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

    private enum Kind
    {
        Space,
        Letter,
        Number,
        Other,
    }

    /// <summary>Returns the words of a text, in lower case.</summary>
    /// <param name="text">Any Unicode text.</param>
    /// <param name="specials">The special tokens, each of which is a separate word.</param>
    public static IEnumerable<string> Split(string text, string[] specials)
    {
        var clean = Lower(Normalize(text));
        for (var start = 0; start < clean.Length;)
        {
            var length = Length(clean, start, specials, out var kind);
            if (kind != Kind.Space)
                yield return clean.Substring(start, length);
            start += length;
        }
    }

    private static string Normalize(string text)
    {
        for (var at = 0; at < text.Length; at++)
        {
            if (!Rune.TryGetRuneAt(text, at, out var rune))
                throw new ArgumentException(Invariant($"The text must be Unicode, got a lone surrogate at index {at}."), nameof(text));
            at += rune.Utf16SequenceLength - 1;
        }

        if (text.Any(unit => unit is >= '\u0300' and <= '\u036f') && Decomposed.Normalize().Length != 1)
            throw new PlatformNotSupportedException(
                "The text contains a combining mark and must be normalized, which requires ICU. "
                + "Disable InvariantGlobalization and install ICU.");
        return text.Normalize(NormalizationForm.FormC);
    }

    // U+0130 is the only character whose lower case has two characters; ToLowerInvariant does not return them.
    private static string Lower(string text) => text.Replace("\u0130", "i\u0307", StringComparison.Ordinal).ToLowerInvariant();

    private static int Length(string text, int start, string[] specials, out Kind kind)
    {
        kind = Kind.Other;
        if (Starts(text, start, specials) is { } special)
            return special.Length;
        if (Starts(text, start, _endings) is { } ending)
            return ending.Length;
        kind = KindAt(text, start, out var length);
        while (kind != Kind.Number && start + length < text.Length && KindAt(text, start + length, out var next) == kind)
            length += next;
        return length;
    }

    private static string? Starts(string text, int start, string[] candidates)
        => Array.Find(candidates, candidate => string.CompareOrdinal(text, start, candidate, 0, candidate.Length) == 0);

    private static Kind KindAt(string text, int at, out int length)
    {
        var rune = Rune.GetRuneAt(text, at);
        length = rune.Utf16SequenceLength;
        return Rune.GetUnicodeCategory(rune) switch
        {
            <= UnicodeCategory.OtherLetter => Kind.Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Number,
            _ => Rune.IsWhiteSpace(rune) ? Kind.Space : Kind.Other,
        };
    }
}

/// <summary>Byte-pair encoding: merges the bytes of a word, in the order in which the pairs were learned.</summary>
internal sealed class BytePairs
{
    /// <summary>The suffix of the last piece of a word.</summary>
    private const string EndOfWord = "</w>";

    private static readonly string[] _byteNames = NameBytes();

    private readonly Dictionary<(string, string), int> _ranks = [];

    /// <summary>Creates an encoding from pairs in the order in which they were learned.</summary>
    /// <exception cref="ArgumentException">A pair appears twice.</exception>
    public BytePairs(IEnumerable<(string First, string Second)> merges)
    {
        foreach (var pair in merges)
        {
            if (!_ranks.TryAdd(pair, _ranks.Count))
                throw new ArgumentException(
                    Invariant($"Each pair must be merged once, got '{pair.First} {pair.Second}' twice."), nameof(merges));
        }
    }

    /// <summary>Returns the pieces of a word after all merges, in a time of n log n for a word of n bytes.</summary>
    /// <remarks>As in the definition, all pairs of the lowest rank are merged, from left to right, before new pairs are ranked.</remarks>
    public List<string> Merge(string word)
    {
        var pieces = Encoding.UTF8.GetBytes(word).Select(value => _byteNames[value]).ToArray();
        pieces[^1] += EndOfWord;

        // A piece that was merged with its left neighbor is empty, and the neighbors of a piece are linked.
        var (next, previous) = (new int[pieces.Length], new int[pieces.Length]);
        var queue = new PriorityQueue<int, (int Rank, int Start)>(pieces.Length);
        for (var k = 0; k < pieces.Length; k++)
        {
            (next[k], previous[k]) = (k + 1, k - 1);
            Add(k);
        }

        var changed = new List<int>();
        while (queue.TryPeek(out _, out var best))
        {
            changed.Clear();
            while (queue.TryPeek(out var start, out var pair) && pair.Rank == best.Rank)
            {
                queue.Dequeue();
                if (RankAt(start) == best.Rank)
                    MergeAt(start);
            }

            foreach (var start in changed)
            {
                Add(start);
                Add(previous[start]);
            }
        }

        return [.. pieces.Where(piece => piece.Length > 0)];

        int RankAt(int start) => start >= 0 && pieces[start].Length > 0 && next[start] < pieces.Length
            ? _ranks.GetValueOrDefault((pieces[start], pieces[next[start]]), int.MaxValue)
            : int.MaxValue;

        void Add(int start)
        {
            if (RankAt(start) is var rank and < int.MaxValue)
                queue.Enqueue(start, (rank, start));
        }

        void MergeAt(int start)
        {
            var second = next[start];
            (pieces[start], pieces[second]) = (pieces[start] + pieces[second], "");
            next[start] = next[second];
            if (next[start] < pieces.Length)
                previous[next[start]] = start;
            changed.Add(start);
        }
    }

    /// <summary>
    /// Returns a visible character for each byte: the character with the value of the byte if it is visible, otherwise the next unused
    /// character from U+0100.
    /// </summary>
    private static string[] NameBytes()
    {
        var names = new string[256];
        var next = 256;
        for (var value = 0; value < names.Length; value++)
        {
            var visible = value is (>= '!' and <= '~') or (>= 0xa1 and <= 0xac) or >= 0xae;
            names[value] = ((char)(visible ? value : next++)).ToString();
        }

        return names;
    }
}
