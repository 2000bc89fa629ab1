using System.Text.Json;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using TorchSharp;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>
/// Tokens recorded with an independent implementation in Python: the published pattern through the package regex, merges one at a time, over
/// a small vocabulary learned by the same script. The published vocabulary is not ours to ship; a folder of the same layout with it takes the
/// same test.
/// </summary>
public class ClipTokenizerTests
{
    public static TheoryData<string> Folders { get; } = ClipFolders.Find("tokenizers", "cases.json", "\"ids\"");

    [Theory]
    [Trait(Category.Name, Category.Golden)]
    [MemberData(nameof(Folders))]
    public void Tokens_equal_the_reference(string folder)
    {
        var tokenizer = ClipText.LoadTokenizer(folder);
        using var cases = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "cases.json")));
        cases.RootElement.GetArrayLength().Should().BeGreaterThan(20);
        foreach (var item in cases.RootElement.EnumerateArray())
        {
            var text = item.GetProperty("text").GetString()!;
            tokenizer.Encode(text).Should().Equal(item.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()), text);
        }
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void A_tokenizer_json_of_either_form_gives_the_same(string folder)
    {
        using var copy = new TemporaryFolder();
        using var vocabulary = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "vocab.json")));
        var merges = File.ReadAllLines(Path.Combine(folder, "merges.txt")).Skip(1).ToArray();
        var expected = ClipText.LoadTokenizer(folder);
        foreach (var pairs in new object[] { merges, merges.Select(line => line.Split(' ')).ToArray() })
        {
            File.WriteAllText(copy.File("tokenizer.json"), JsonSerializer.Serialize(
                new { model = new { type = "BPE", end_of_word_suffix = "</w>", vocab = vocabulary.RootElement, merges = pairs } }));
            var tokenizer = ClipText.LoadTokenizer(copy.Path);
            tokenizer.Encode("a photo of the sea, don't you see?").Should().Equal(expected.Encode("a photo of the sea, don't you see?"));
            tokenizer.Options.MaxTokens.Should().Be(77);
        }
    }

    [Fact]
    public void Known_tokens_of_the_published_vocabulary_come_out_of_its_part()
    {
        // "a photo of a cat" has the tokens 49406 320 1125 539 320 2368 49407 in the published vocabulary.
        var vocabulary = new Dictionary<string, int>
        {
            ["a</w>"] = 320,
            ["photo</w>"] = 1125,
            ["of</w>"] = 539,
            ["cat</w>"] = 2368,
            ["<|startoftext|>"] = 49406,
            ["<|endoftext|>"] = 49407,
        };
        (string, string)[] merges = [("a", "t</w>"), ("o", "f</w>"), ("o", "to</w>"), ("t", "o</w>"), ("p", "h"), ("ph", "oto</w>"), ("c", "at</w>")];
        new ClipTokenizer(vocabulary, merges).Encode("A photo\n of  a CAT").Should().Equal(49406, 320, 1125, 539, 320, 2368, 49407);
    }

    [Fact]
    public void Texts_are_padded_and_cut_to_one_length()
    {
        var tokenizer = ClipText.LoadTokenizer(Path.Combine(TestData.Root, "tests", "golden", "tokenizers", "recorded-clip-bpe"));
        var length = tokenizer.Options.MaxTokens;
        length.Should().Be(40);
        tokenizer.PaddingToken.Should().Be(0, "the configuration pads with '!', the first token");
        using var batch = tokenizer.EncodeBatch(["a cat", string.Join(' ', Enumerable.Repeat("photo", 100))]);
        batch.shape.Should().Equal(2, length);
        batch.dtype.Should().Be(torch.ScalarType.Int64);
        var values = batch.data<long>().ToArray();
        var first = tokenizer.Encode("a cat");
        values[..first.Length].Should().Equal(first.Select(token => (long)token));
        values[first.Length..length].Should().OnlyContain(token => token == 0);
        values[length].Should().Be(tokenizer.StartToken);
        values[^1].Should().Be(tokenizer.EndToken);
        values[(length + 1)..^1].Should().NotContain([tokenizer.EndToken, 0]);
        LiveTensors.Change(() => tokenizer.EncodeBatch(["a"]).Dispose()).Should().Be(0);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Texts_that_cannot_be_tokenized_are_refused()
    {
        var tokenizer = ClipText.LoadTokenizer(Path.Combine(TestData.Root, "tests", "golden", "tokenizers", "recorded-clip-bpe"));
        FluentActions.Invoking(() => tokenizer.Encode("a\ud800b")).Should().Throw<ArgumentException>().WithMessage("*surrogate*");
        FluentActions.Invoking(() => tokenizer.EncodeBatch([])).Should().Throw<ArgumentException>();
        var composed = "caf\u00e9";
        tokenizer.Encode(composed).Should().HaveCountGreaterThan(2);
        // Tests run without ICU, where marks cannot be composed; elsewhere the tokens are those of the composed letter.
        if ("e\u0301".Normalize().Length == 1)
            tokenizer.Encode("cafe\u0301").Should().Equal(tokenizer.Encode(composed));
        else
            FluentActions.Invoking(() => tokenizer.Encode("cafe\u0301")).Should().Throw<PlatformNotSupportedException>().WithMessage("*ICU*");
    }

    [Theory]
    [Trait(Category.Name, Category.Fault)]
    [InlineData("{\"a\": 0}", "a b", "*must have '<|startoftext|>'*")]
    [InlineData("{\"<|startoftext|>\": 0, \"<|endoftext|>\": -1}", "a b", "*a number from 0*")]
    [InlineData("{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1}", "a b c", "*two tokens and a space*")]
    [InlineData("{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1}", "a b\na b", "*'a b' twice*")]
    [InlineData("{\"<|startoftext|>\": 0, \"<|startoftext|>\": 0}", "a b", "*Duplicate*startoftext*")]
    public void Damaged_files_are_refused(string vocabulary, string merges, string message)
    {
        using var folder = new TemporaryFolder();
        FluentActions.Invoking(() => ClipText.LoadTokenizer(folder.Path)).Should().Throw<FileNotFoundException>();
        File.WriteAllText(folder.File("vocab.json"), vocabulary);
        FluentActions.Invoking(() => ClipText.LoadTokenizer(folder.Path)).Should().Throw<Exception>();
        File.WriteAllText(folder.File("merges.txt"), "#version: 0.2\n" + merges);
        FluentActions.Invoking(() => ClipText.LoadTokenizer(folder.Path)).Should().Throw<InvalidDataException>().WithMessage(message);
        File.Delete(folder.File("vocab.json"));
        File.WriteAllText(folder.File("tokenizer.json"), "{\"model\": {\"type\": \"Unigram\"}}");
        FluentActions.Invoking(() => ClipText.LoadTokenizer(folder.Path)).Should().Throw<NotSupportedException>();
    }
}
