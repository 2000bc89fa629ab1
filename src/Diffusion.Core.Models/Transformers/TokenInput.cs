using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The sequence that a vision transformer starts from: tokens of the condition where they are tokens, then the patches, with learned
/// positions.
/// </summary>
/// <remarks>
/// Source: Dosovitskiy et al. 2021, eq. 1; Bao et al. 2023, section 3. State: <c>patch_embed</c>, <c>emb</c>, <c>pos_embed</c>.
/// </remarks>
internal sealed class TokenInput : nn.Module<Tensor, Tensor, Condition?, Tensor>
{
    private readonly TransformerOptions _options;
    private readonly PatchEmbedding _patches;
    private readonly TransformerEmbedding _embedding;
    private readonly LearnedPositions _positions;
    private readonly LabelDropout? _labelDropout;
    private readonly bool _asTokens;

    /// <summary>An input for a network.</summary>
    /// <param name="options">Valid options.</param>
    /// <param name="width">The width of the tokens.</param>
    /// <param name="imageSize">The side of the images that positions are learned for.</param>
    /// <param name="asTokens">True for tokens of time and condition before the patches, false to add them to every patch.</param>
    /// <param name="timeNetwork">False to take the sines and cosines of t as they are.</param>
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

    /// <summary>How many tokens stand before the patches.</summary>
    public int Extra { get; }

    /// <summary>Requires inputs that fit.</summary>
    public void Check(Tensor xt, Tensor t, Condition? condition)
    {
        _patches.Check(xt, nameof(xt));
        TransformerInputs.Check(_options, xt, t, condition, _patches.Weight);
    }

    /// <summary>[B, extra + patches, width]; the caller's.</summary>
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
    /// The image of tokens [B, extra + patches, p * p * C] for inputs of a shape, without what stands before the patches; the caller's.
    /// </summary>
    public Tensor Join(Tensor tokens, long[] shape)
    {
        var side = _options.PatchSize;
        using var patches = tokens.narrow(1, Extra, tokens.shape[1] - Extra);
        return PatchEmbedding.Join(patches, shape[2] / side, shape[3] / side, side);
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }
}
