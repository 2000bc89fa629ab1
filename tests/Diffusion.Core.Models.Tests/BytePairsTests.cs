using System.Diagnostics;
using System.Text;

namespace Diffusion.Core.Models.Tests;

public class BytePairsTests
{
    [Fact]
    public void Pieces_are_those_of_the_definition()
    {
        var random = new Random(5);
        var merged = 0;
        for (var i = 0; i < 500; i++)
        {
            var tokens = new List<string> { "a", "b", "c", "a</w>", "b</w>", "c</w>" };
            var merges = new List<(string, string)>();
            for (var k = random.Next(12); k >= 0; k--)
            {
                var pair = (tokens[random.Next(tokens.Count)], tokens[random.Next(tokens.Count)]);
                if (merges.Contains(pair))
                    continue;
                merges.Add(pair);
                tokens.Add(pair.Item1 + pair.Item2);
            }

            // In the order of a file, which need not be the order in which pairs can be merged.
            var order = merges.ToArray();
            random.Shuffle(order);
            var word = new StringBuilder();
            for (var k = random.Next(30); k >= 0; k--)
                word.Append((char)('a' + random.Next(3)));
            var expected = MergeByDefinition(word.ToString(), order);

            new BytePairs(order).Merge(word.ToString()).Should().Equal(expected, "{0} of {1}", word, string.Join(", ", order));
            merged += expected.Count < word.Length ? 1 : 0;
        }

        merged.Should().BeGreaterThan(100);
    }

    [Fact]
    public void A_long_word_takes_little_time()
    {
        (string, string)[] merges = [.. Enumerable.Range(0, 10).Select(k => (new string('a', 1 << k), new string('a', 1 << k)))];
        var pairs = new BytePairs(merges);
        var time = Stopwatch.StartNew();

        var pieces = pairs.Merge(new string('a', 1_000_000));

        pieces.Should().HaveCountLessThan(1_100);
        time.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(20), "the time of a search for each merge is minutes");
    }

    private static List<string> MergeByDefinition(string word, (string, string)[] merges)
    {
        var pieces = word.Select(letter => letter.ToString()).ToList();
        pieces[^1] += "</w>";
        while (true)
        {
            var present = pieces.Zip(pieces.Skip(1)).ToArray();
            var best = Array.FindIndex(merges, pair => present.Contains(pair));
            if (best < 0)
                return pieces;
            for (var k = 0; k + 1 < pieces.Count; k++)
            {
                if ((pieces[k], pieces[k + 1]) != merges[best])
                    continue;
                pieces[k] += pieces[k + 1];
                pieces.RemoveAt(k + 1);
            }
        }
    }
}
