using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The modulation of a transformer block: maps an embedding to shifts, scales and gates of the width of the tokens. It is initialized with
/// zeros, so that the block is initially the identity.
/// </summary>
/// <remarks>
/// Source: Peebles and Xie 2023, section 3.2, "adaLN-Zero". State: <c>linear</c>, and <c>emb</c> if the block has a separate embedding.
/// </remarks>
internal sealed class AdaLayerNorm : NamedModule<Tensor, Tensor>
{
    private const double Epsilon = 1e-6;

    private readonly Linear _linear;
    private readonly int _parts;
    private readonly int _width;

    /// <summary>Creates a layer of given sizes.</summary>
    /// <param name="width">The width of the tokens.</param>
    /// <param name="embeddingWidth">The width of the embedding.</param>
    /// <param name="parts">The number of shifts, scales and gates.</param>
    /// <param name="own">
    /// The separate embedding of the block; <see langword="null"/> for none. It is registered as a submodule, as in diffusers, but this
    /// layer does not call it.
    /// </param>
    public AdaLayerNorm(int width, int embeddingWidth, int parts, TransformerEmbedding? own)
        : base(nameof(AdaLayerNorm))
    {
        (_width, _parts) = (width, parts);
        if (own is not null)
            register_module("emb", own);
        register_module("linear", _linear = Layers.Linear(embeddingWidth, (long)parts * width));
        InitialWeights.Zero(_linear);
    }

    /// <summary>Maps an embedding, [B, E], to vectors, [B, parts, 1, width]. The caller must dispose the tensor.</summary>
    public override Tensor forward(Tensor embedding) => Vectors(_linear, embedding, _parts, _width);

    /// <summary>
    /// Applies SiLU and a linear layer to an embedding, and returns vectors, [B, parts, 1, width]. The caller must dispose the tensor.
    /// </summary>
    public static Tensor Vectors(Linear linear, Tensor embedding, int parts, int width)
    {
        using var activated = nn.functional.silu(embedding);
        using var vectors = linear.call(activated);
        return vectors.view(embedding.shape[0], parts, 1, width);
    }

    /// <summary>
    /// Computes norm(x) (1 + scale) + shift for normalized tokens, [B, N, width]. The shift is the vector at index <c>first</c>, and the
    /// scale is the next vector. The caller must dispose the tensor.
    /// </summary>
    public static Tensor Modulate(Tensor normed, Tensor vectors, int first)
    {
        using var shift = vectors.select(1, first);
        using var scale = vectors.select(1, first + 1);
        using var factor = scale.Add(1);
        return normed.mul(factor).Add_(shift);
    }

    /// <summary>Computes a layer norm without learned parameters. The caller must dispose the tensor.</summary>
    public static Tensor Norm(Tensor tokens) => nn.functional.layer_norm(tokens, [tokens.shape[^1]], null, null, Epsilon);
}
