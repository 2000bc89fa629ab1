using System.Text;

namespace Diffusion.Core.Models;

/// <summary>Merges the bytes of a word, pair by pair, the earliest learned pair first.</summary>
internal sealed class BytePairs
{
    /// <summary>What marks the last piece of a word.</summary>
    private const string EndOfWord = "</w>";

    private static readonly string[] _byteNames = NameBytes();

    private readonly Dictionary<(string, string), int> _ranks = [];

    /// <summary>Pairs in the order in which they were learned.</summary>
    /// <exception cref="ArgumentException">A pair appears twice.</exception>
    public BytePairs(IEnumerable<(string First, string Second)> merges)
    {
        foreach (var pair in merges)
        {
            if (!_ranks.TryAdd(pair, _ranks.Count))
                throw new ArgumentException($"Each pair must be merged once, got '{pair.First} {pair.Second}' twice.", nameof(merges));
        }
    }

    /// <summary>The pieces that a word ends as.</summary>
    public List<string> Merge(string word)
    {
        var pieces = Encoding.UTF8.GetBytes(word).Select(value => _byteNames[value]).ToList();
        pieces[^1] += EndOfWord;
        while (true)
        {
            var best = int.MaxValue;
            for (var k = 0; k + 1 < pieces.Count; k++)
                best = Math.Min(best, _ranks.GetValueOrDefault((pieces[k], pieces[k + 1]), int.MaxValue));
            if (best == int.MaxValue)
                return pieces;
            for (var k = 0; k + 1 < pieces.Count; k++)
            {
                if (_ranks.GetValueOrDefault((pieces[k], pieces[k + 1]), int.MaxValue) != best)
                    continue;
                pieces[k] += pieces[k + 1];
                pieces.RemoveAt(k + 1);
            }
        }
    }

    /// <summary>A visible character for each byte: itself where it is one, else one from U+0100 on, in order.</summary>
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
