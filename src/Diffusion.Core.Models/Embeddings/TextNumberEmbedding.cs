using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Embeds a vector that consists of a text embedding and numbers, as in SDXL, with a two-layer network. Each number is first encoded
/// as sines and cosines, like a timestep. State: <c>linear_1</c>, <c>linear_2</c>.
/// </summary>
internal sealed class TextNumberEmbedding : NamedModule<Tensor, Tensor, Tensor>
{
    private readonly int _textWidth;
    private readonly SinusoidalEmbedding _encoding;
    private readonly TimeEmbedding _embedding;

    /// <summary>Creates an embedding of given widths.</summary>
    /// <param name="textWidth">The width of the text embedding.</param>
    /// <param name="numbers">The number of numbers that follow the text embedding.</param>
    /// <param name="encoding">The encoding of each number.</param>
    /// <param name="outputs">The width of the result.</param>
    public TextNumberEmbedding(int textWidth, int numbers, SinusoidalEmbedding encoding, int outputs)
        : base(nameof(TextNumberEmbedding))
    {
        (_textWidth, _encoding) = (textWidth, encoding);
        _embedding = new TimeEmbedding(Layers.Size(textWidth + (long)Layers.Size(numbers, encoding.Width)), outputs);
        register_module("encoding", encoding);
        foreach (var (name, part) in _embedding.named_children())
            register_module(name, part);
    }

    /// <summary>Maps [B, text + numbers] to [B, outputs], in the type and on the device of <paramref name="like"/>.</summary>
    public override Tensor forward(Tensor vector, Tensor like)
    {
        using var scope = NewDisposeScope();
        var text = vector.narrow(1, 0, _textWidth).to(like.dtype, like.device);
        var numbers = vector.narrow(1, _textWidth, vector.shape[1] - _textWidth).flatten();
        var encoded = _encoding.call(numbers).view(vector.shape[0], -1).to(like.dtype, like.device);
        return _embedding.call(cat([text, encoded], 1)).MoveToOuterDisposeScope();
    }
}
