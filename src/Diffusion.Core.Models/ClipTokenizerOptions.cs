namespace Diffusion.Core.Models;

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
