using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The text encoder of CLIP, a causal transformer whose hidden states condition text-to-image networks.</summary>
/// <remarks>
/// <para>Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", section 2.4.</para>
/// <para>The state dict has the keys of transformers' <c>CLIPTextModel</c> and <c>CLIPTextModelWithProjection</c>:
/// <c>text_model.embeddings.*</c>, <c>text_model.encoder.layers.*</c>, <c>text_model.final_layer_norm</c>, <c>text_projection</c>.</para>
/// <para>Parameters (<see cref="ModuleWeights.Count"/>): 123,060,480 for ViT-L/14, the encoder of Stable Diffusion 1 (width 768, hidden
/// 3072, 12 heads); 63,165,952 with the default options.</para>
/// </remarks>
public sealed class ClipTextEncoder : NamedModule
{
    private readonly Embedding _tokens;
    private readonly Embedding _positions;
    private readonly ModuleList<ClipTextLayer> _layers = new();
    private readonly LayerNormalization _norm;
    private readonly Linear? _projection;

    /// <summary>Creates an encoder with random weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">An option is out of range or inconsistent with another.</exception>
    public ClipTextEncoder(ClipTextEncoderOptions options)
        : base(nameof(ClipTextEncoder))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        _tokens = Layers.Embedding(options.Vocabulary, options.Width);
        _positions = Layers.Embedding(options.MaxTokens, options.Width);
        using (no_grad())
        {
            // The standard deviations are those in the code of Radford et al.
            _tokens.get_parameter("weight")!.Mul_(0.02);
            _positions.get_parameter("weight")!.Mul_(0.01);
        }

        for (var layer = 0; layer < options.Layers; layer++)
            _layers.Add(new ClipTextLayer(options));
        _norm = new LayerNormalization(options.Width, options.NormEpsilon);
        register_module("text_model", new ClipTextPart(
            ("embeddings", new ClipTextPart(("token_embedding", _tokens), ("position_embedding", _positions))),
            ("encoder", new ClipTextPart(("layers", _layers))),
            ("final_layer_norm", _norm)));
        if (options.ProjectionWidth is { } width)
            register_module("text_projection", _projection = Layers.Linear(options.Width, width, hasBias: false));
    }

    /// <summary>The architecture.</summary>
    public ClipTextEncoderOptions Options { get; }

    /// <summary>Encodes texts.</summary>
    /// <param name="tokens">
    /// [B, L] int64 token IDs, as <see cref="ClipTokenizer.EncodeBatch"/> returns them, with L at most
    /// <see cref="ClipTextEncoderOptions.MaxTokens"/>, on the device of the weights. On devices other than the CPU, the behavior for an
    /// ID outside the vocabulary is undefined.
    /// </param>
    /// <param name="mask">
    /// [B, L] bool: <see langword="true"/> for the tokens that may be attended to, which must include the first token of each text. The
    /// default is <see langword="null"/>: all tokens, as in Stable Diffusion.
    /// </param>
    /// <returns>The states of the tokens and of the texts. The caller must dispose the returned object.</returns>
    /// <exception cref="ArgumentException">
    /// A tensor has the wrong shape, type or device, or a token is outside the vocabulary.
    /// </exception>
    public ClipTextOutput Encode(Tensor tokens, Tensor? mask = null) => Encode(tokens, mask, hiddenStates: false);

    /// <summary>Encodes texts like <see cref="Encode(Tensor, Tensor?)"/>, and also returns the hidden states of all layers.</summary>
    /// <inheritdoc cref="Encode(Tensor, Tensor?)"/>
    public ClipTextOutput EncodeWithHiddenStates(Tensor tokens, Tensor? mask = null) => Encode(tokens, mask, hiddenStates: true);

    private ClipTextOutput Encode(Tensor tokens, Tensor? mask, bool hiddenStates)
    {
        Check(tokens, mask);
        using var scope = NewDisposeScope();
        var hidden = Embed(tokens);
        var allowed = mask is null ? null : CausalMask(mask);
        var states = new List<Tensor>();
        foreach (var layer in _layers)
        {
            if (hiddenStates)
                states.Add(hidden);
            hidden = GradientCheckpointing.RunIf(
                training && Options.UseGradientCheckpointing, inputs => layer.call(inputs[0]!, inputs[1]), hidden, allowed);
        }

        if (hiddenStates)
            states.Add(hidden);
        var last = _norm.call(hidden);
        var pooled = Pool(last, tokens);
        return new ClipTextOutput
        {
            LastHiddenState = last.MoveToOuterDisposeScope(),
            Pooled = pooled.MoveToOuterDisposeScope(),
            Projected = _projection?.call(pooled).MoveToOuterDisposeScope(),
            HiddenStates = [.. states.Select(state => state.MoveToOuterDisposeScope())],
        };
    }

    private Tensor Embed(Tensor tokens)
    {
        var positions = _positions.get_parameter("weight")!.narrow(0, 0, tokens.shape[1]);
        return _tokens.call(tokens).Add(positions);
    }

    /// <summary>Returns [B, 1, L, L], true where a token may attend: to itself and earlier tokens, if the mask allows them.</summary>
    private static Tensor CausalMask(Tensor mask)
    {
        var place = Scalars.Arange(mask.shape[1], ScalarType.Int64, mask.device);
        var before = place.unsqueeze(0).le(place.unsqueeze(1));
        return mask.unsqueeze(1).unsqueeze(1).logical_and(before);
    }

    /// <summary>
    /// Returns [B, D], the state at the first end token; with the end token 2 of old configurations, the state at the token with the
    /// greatest ID.
    /// </summary>
    private Tensor Pool(Tensor states, Tensor tokens)
    {
        const long legacyEnd = 2;
        var keys = Options.EndToken == legacyEnd ? tokens : tokens.Eq(Options.EndToken).to(ScalarType.Int64);

        // key * L - place is greatest at the first of the greatest keys, and all values differ, so that argmax has no ties to break.
        var length = tokens.shape[1];
        var place = Scalars.Arange(length, ScalarType.Int64, tokens.device);
        var end = keys.Mul(length).sub(place).argmax(1);
        var index = end.view(-1, 1, 1).expand(-1, 1, Options.Width);
        return states.gather(1, index).squeeze(1);
    }

    private void Check(Tensor tokens, Tensor? mask)
    {
        Guard.Shape(tokens, [-1, -1]);
        var (batch, length) = (tokens.shape[0], tokens.shape[1]);
        if (batch < 1 || length < 1 || length > Options.MaxTokens)
            throw new ArgumentException(
                Invariant($"Texts must have 1 to {Options.MaxTokens} tokens and there must be at least one, got shape ")
                + Invariant($"{Guard.Format(tokens.shape)}."),
                nameof(tokens));
        var weight = _tokens.get_parameter("weight")!;
        if (tokens.dtype != ScalarType.Int64)
            throw new ArgumentException($"Tokens must be Int64, got {tokens.dtype}.", nameof(tokens));
        DenoiserGuard.SameDevice(tokens, weight, nameof(tokens));
        if (mask is not null)
        {
            Guard.Shape(mask, [batch, length]);
            if (mask.dtype != ScalarType.Bool)
                throw new ArgumentException($"The mask must be Bool, got {mask.dtype}.", nameof(mask));
            DenoiserGuard.SameDevice(mask, weight, nameof(mask));
            RequireFirstTokens(mask);
        }

        if (tokens.device_type != DeviceType.CPU)
            return;
        using var dense = tokens.contiguous();
        foreach (var token in dense.data<long>())
        {
            if (token < 0 || token >= Options.Vocabulary)
                throw new ArgumentOutOfRangeException(
                    nameof(tokens), token, Invariant($"Tokens must lie in [0, {Options.Vocabulary - 1}], got {token}."));
        }
    }

    /// <summary>
    /// Throws if a mask on the CPU is false for the first token of a text. That token attends to itself only: if it is masked, its state,
    /// and therefore that of the text, is undefined.
    /// </summary>
    private static void RequireFirstTokens(Tensor mask)
    {
        if (mask.device_type != DeviceType.CPU)
            return;
        using var scope = NewDisposeScope();
        if (!mask.narrow(1, 0, 1).all().item<bool>())
            throw new ArgumentException("The mask must be true for the first token of each text, got false.", nameof(mask));
    }
}

/// <summary>The architecture of a <see cref="ClipTextEncoder"/>. The defaults are those of transformers' <c>CLIPTextConfig</c>.</summary>
public sealed record ClipTextEncoderOptions
{
    /// <summary>The number of tokens in the vocabulary (<c>vocab_size</c>). The default is 49408.</summary>
    public int Vocabulary { get; init; } = 49408;

    /// <summary>D, the width of the hidden states (<c>hidden_size</c>). The default is 512.</summary>
    public int Width { get; init; } = 512;

    /// <summary>The hidden width of the feed-forward networks (<c>intermediate_size</c>). The default is 2048.</summary>
    public int HiddenWidth { get; init; } = 2048;

    /// <summary>The number of layers (<c>num_hidden_layers</c>). The default is 12.</summary>
    public int Layers { get; init; } = 12;

    /// <summary>The number of attention heads (<c>num_attention_heads</c>), which must divide the width. The default is 8.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>The maximum length of a text, in tokens (<c>max_position_embeddings</c>). The default is 77.</summary>
    public int MaxTokens { get; init; } = 77;

    /// <summary>
    /// The activation of the feed-forward networks (<c>hidden_act</c>): <see cref="Activation.GeluSigmoid"/> for <c>quick_gelu</c>, or
    /// <see cref="Activation.Gelu"/> for <c>gelu</c>. The default is <see cref="Activation.GeluSigmoid"/>.
    /// </summary>
    public Activation Activation { get; init; } = Activation.GeluSigmoid;

    /// <summary>The epsilon of the layer norms (<c>layer_norm_eps</c>). The default is 1e-5.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>
    /// P, the width of the projected text embedding (<c>projection_dim</c>), as in <c>CLIPTextModelWithProjection</c>. The default is
    /// <see langword="null"/>: no projection.
    /// </summary>
    public int? ProjectionWidth { get; init; }

    /// <summary>
    /// The ID of the token that ends a text (<c>eos_token_id</c>). The state at its first occurrence represents the text. The default is
    /// 49407. With 2, which old configurations contain by mistake, the state at the token with the greatest ID is used instead.
    /// </summary>
    public long EndToken { get; init; } = 49407;

    /// <summary>
    /// Whether only the inputs of each layer are stored for the backward pass, which recomputes the layer. It takes effect in training
    /// mode. The default is <see langword="false"/>.
    /// </summary>
    public bool UseGradientCheckpointing { get; init; }

    /// <summary>Throws if the options are inconsistent.</summary>
    /// <exception cref="ArgumentException">An option is out of range or inconsistent with another.</exception>
    internal void Validate()
    {
        Guard.Positive(Vocabulary);
        Guard.Positive(Width);
        Guard.Positive(HiddenWidth);
        Guard.Positive(Layers);
        Guard.Positive(MaxTokens);
        Guard.Positive(NormEpsilon);
        Guard.Positive(ProjectionWidth ?? 1, nameof(ProjectionWidth));
        ArgumentNullException.ThrowIfNull(Activation);
        if (Activation.InputsPerOutput != 1)
            throw new ArgumentException(
                Invariant($"{nameof(Activation)} must keep the width, this one needs {Activation.InputsPerOutput} inputs."),
                nameof(Activation));
        if (Width % Guard.Positive(Heads) != 0)
            throw new ArgumentException(Invariant($"{nameof(Heads)} must divide the width {Width}, got {Heads}."), nameof(Heads));
    }
}

/// <summary>The output of a <see cref="ClipTextEncoder"/> for a batch of texts. The object owns its tensors.</summary>
public sealed class ClipTextOutput : IDisposable
{
    /// <summary>The state of each token after the last norm, [B, L, D]: <c>last_hidden_state</c>.</summary>
    public required Tensor LastHiddenState { get; init; }

    /// <summary>The state at the end token of each text, [B, D]: <c>pooler_output</c>.</summary>
    public required Tensor Pooled { get; init; }

    /// <summary>
    /// The projection of <see cref="Pooled"/>, [B, P]: <c>text_embeds</c>; <see langword="null"/> if the encoder has no projection.
    /// </summary>
    public Tensor? Projected { get; init; }

    /// <summary>
    /// The token embeddings and the output of every layer, before the last norm, each [B, L, D]. Empty unless
    /// <see cref="ClipTextEncoder.EncodeWithHiddenStates"/> was called. Stable Diffusion XL uses the second-to-last state.
    /// </summary>
    public IReadOnlyList<Tensor> HiddenStates { get; init; } = [];

    /// <inheritdoc/>
    public void Dispose()
    {
        LastHiddenState.Dispose();
        Pooled.Dispose();
        Projected?.Dispose();
        foreach (var state in HiddenStates)
            state.Dispose();
    }
}

/// <summary>A module that groups others under a common name, so that the state dict has the keys of transformers.</summary>
internal sealed class ClipTextPart : NamedModule
{
    /// <summary>Registers modules under their names.</summary>
    public ClipTextPart(params ReadOnlySpan<(string Name, nn.Module Module)> parts)
        : base(nameof(ClipTextPart))
    {
        foreach (var (name, module) in parts)
            register_module(name, module);
    }
}
