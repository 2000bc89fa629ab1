using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The input layer of a vision transformer, which returns the patches of an image with learned position embeddings. The embeddings of
/// timestep and condition are tokens before the patches, or they are added to every patch.
/// </summary>
/// <remarks>
/// Source: Dosovitskiy et al. 2021, eq. 1; Bao et al. 2023, section 3. State: <c>patch_embed</c>, <c>emb</c>, <c>pos_embed</c>.
/// </remarks>
internal sealed class TokenInput : NamedModule<Tensor, Tensor, Condition?, Tensor>
{
    private readonly TransformerOptions _options;
    private readonly PatchEmbedding _patches;
    private readonly TransformerEmbedding _embedding;
    private readonly LearnedPositions _positions;
    private readonly LabelDropout? _labelDropout;
    private readonly bool _asTokens;

    /// <summary>Creates the input layer of a network.</summary>
    /// <param name="options">Valid options.</param>
    /// <param name="width">The width of the tokens.</param>
    /// <param name="imageSize">The side, in pixels, of the images for which the position embeddings are learned.</param>
    /// <param name="asTokens">
    /// <see langword="true"/> if the embeddings of timestep and condition are tokens before the patches, <see langword="false"/> if they
    /// are added to every patch.
    /// </param>
    /// <param name="timeNetwork">
    /// Whether a two-layer network is applied to the sinusoidal embedding of t; otherwise, the sinusoidal embedding is used directly.
    /// </param>
    public TokenInput(TransformerOptions options, int width, int imageSize, bool asTokens, bool timeNetwork)
        : base(nameof(TokenInput))
    {
        (_options, _asTokens) = (options, asTokens);
        Extra = asTokens ? TransformerEmbedding.Count(options) : 0;
        register_module("patch_embed", _patches = new PatchEmbedding(options.Channels, options.PatchSize, width));
        register_module("emb", _embedding = new TransformerEmbedding(options, width, timeNetwork));
        register_module("pos_embed", _positions = new LearnedPositions(width, imageSize / options.PatchSize, Extra));
        if ((_labelDropout = TransformerInputs.Dropout(options)) is not null)
            register_module("label_dropout", _labelDropout);
    }

    /// <summary>The number of tokens before the patches.</summary>
    public int Extra { get; }

    /// <summary>Throws if the inputs do not match the network.</summary>
    public void Check(Tensor xt, Tensor t, Condition? condition)
    {
        _patches.Check(xt, nameof(xt));
        TransformerInputs.Check(_options, xt, t, condition, _patches.Weight);
    }

    /// <summary>Returns the input tokens, [B, extra + patches, width]. The caller must dispose the tensor.</summary>
    public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
    {
        using var scope = NewDisposeScope();
        var labels = TransformerInputs.Labels(_options, _labelDropout, condition);
        var told = _embedding.Parts(t, labels, condition?.Vector, _patches.Weight).Select(part => part.unsqueeze(1));
        var patches = _patches.call(xt);
        var tokens = _asTokens ? cat([.. told, patches], 1) : told.Aggregate(patches, (sum, part) => sum.Add(part));
        var side = _options.PatchSize;
        return _positions.forward(tokens, xt.shape[2] / side, xt.shape[3] / side).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Removes the tokens before the patches, and joins the remaining tokens to images. The caller must dispose the returned tensor.
    /// </summary>
    /// <param name="tokens">[B, extra + patches, p * p * C].</param>
    /// <param name="shape">The shape of the input images, from which the size of the output images follows.</param>
    public Tensor Join(Tensor tokens, long[] shape)
    {
        var side = _options.PatchSize;
        using var patches = tokens.narrow(1, Extra, tokens.shape[1] - Extra);
        return PatchEmbedding.Join(patches, shape[2] / side, shape[3] / side, side);
    }
}
