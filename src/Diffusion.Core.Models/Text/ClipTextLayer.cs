using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A layer of a CLIP text encoder: causal self-attention and a feed-forward network, each with a norm before it and a residual
/// connection.
/// </summary>
/// <remarks>
/// Source: Radford et al. 2019, section 2.3. State, with the keys of transformers: <c>layer_norm1</c>, <c>self_attn.{q,k,v,out}_proj</c>,
/// <c>layer_norm2</c>, <c>mlp.fc1</c>, <c>mlp.fc2</c>.
/// </remarks>
internal sealed class ClipTextLayer : NamedModule<Tensor, Tensor?, Tensor>
{
    private readonly ClipTextEncoderOptions _options;
    private readonly LayerNormalization _norm1;
    private readonly Linear _query;
    private readonly Linear _key;
    private readonly Linear _value;
    private readonly Linear _output;
    private readonly LayerNormalization _norm2;
    private readonly Linear _first;
    private readonly Linear _second;

    /// <summary>Creates a layer with random weights.</summary>
    public ClipTextLayer(ClipTextEncoderOptions options)
        : base(nameof(ClipTextLayer))
    {
        _options = options;
        var width = options.Width;
        _norm1 = new LayerNormalization(width, options.NormEpsilon);
        (_query, _key) = (Layers.Linear(width, width), Layers.Linear(width, width));
        (_value, _output) = (Layers.Linear(width, width), Layers.Linear(width, width));
        _norm2 = new LayerNormalization(width, options.NormEpsilon);
        (_first, _second) = (Layers.Linear(width, options.HiddenWidth), Layers.Linear(options.HiddenWidth, width));
        register_module("layer_norm1", _norm1);
        register_module("self_attn", new ClipTextPart(
            ("k_proj", _key), ("v_proj", _value), ("q_proj", _query), ("out_proj", _output)));
        register_module("layer_norm2", _norm2);
        register_module("mlp", new ClipTextPart(("fc1", _first), ("fc2", _second)));
    }

    /// <summary>Applies the layer to tokens.</summary>
    /// <param name="tokens">[B, L, D].</param>
    /// <param name="mask">
    /// [B, 1, L, L] bool: <see langword="true"/> where a token may attend; <see langword="null"/> for the causal mask, with which a token
    /// attends to itself and all previous tokens.
    /// </param>
    /// <returns>[B, L, D]. The caller must dispose the returned tensor.</returns>
    public override Tensor forward(Tensor tokens, Tensor? mask)
    {
        using var scope = NewDisposeScope();
        var normed = _norm1.call(tokens);
        var attended = Layers.Attend(
            _query.call(normed), _key.call(normed), _value.call(normed), _options.Heads, mask, causal: mask is null);
        var hidden = _output.call(attended).Add_(tokens);
        var network = _second.call(_options.Activation.Apply(_first.call(_norm2.call(hidden))));
        return network.Add_(hidden).MoveToOuterDisposeScope();
    }
}
