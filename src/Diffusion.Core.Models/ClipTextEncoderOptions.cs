namespace Diffusion.Core.Models;

/// <summary>The architecture of a <see cref="ClipTextEncoder"/>; the defaults are those of transformers' <c>CLIPTextConfig</c>.</summary>
public sealed record ClipTextEncoderOptions
{
    /// <summary>The number of tokens in the vocabulary (<c>vocab_size</c>). 49408 by default.</summary>
    public int Vocabulary { get; init; } = 49408;

    /// <summary>D, the width of the tokens (<c>hidden_size</c>). 512 by default.</summary>
    public int Width { get; init; } = 512;

    /// <summary>The hidden width of the two-layer networks (<c>intermediate_size</c>). 2048 by default.</summary>
    public int HiddenWidth { get; init; } = 2048;

    /// <summary>The number of layers (<c>num_hidden_layers</c>). 12 by default.</summary>
    public int Layers { get; init; } = 12;

    /// <summary>The number of heads, which divides the width (<c>num_attention_heads</c>). 8 by default.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>The longest text, in tokens (<c>max_position_embeddings</c>). 77 by default.</summary>
    public int MaxTokens { get; init; } = 77;

    /// <summary>
    /// Between the layers of the networks (<c>hidden_act</c>): <see cref="Models.Activation.GeluSigmoid"/> for <c>quick_gelu</c>, the
    /// default, or <see cref="Models.Activation.Gelu"/> for <c>gelu</c>.
    /// </summary>
    public IActivation Activation { get; init; } = Models.Activation.GeluSigmoid;

    /// <summary>The epsilon of the layer norms (<c>layer_norm_eps</c>). 1e-5 by default.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>P, the width of the projected text for <c>CLIPTextModelWithProjection</c>, or null, the default, for none.</summary>
    public int? ProjectionWidth { get; init; }

    /// <summary>
    /// The token at which a text ends, whose state stands for the text (<c>eos_token_id</c>): the first one of it. 49407 by default. At 2,
    /// which old configurations say by mistake, the greatest token of the text takes its place.
    /// </summary>
    public long EndToken { get; init; } = 49407;

    /// <summary>True to keep only the inputs of each layer for the backward pass, and compute it again there. False by default.</summary>
    public bool CheckpointActivations { get; init; }

    /// <summary>Refuses options that do not fit each other.</summary>
    /// <exception cref="ArgumentException">The first that does not.</exception>
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
                $"{nameof(Activation)} must keep the width, this one needs {Activation.InputsPerOutput} inputs.", nameof(Activation));
        if (Width % Guard.Positive(Heads) != 0)
            throw new ArgumentException($"{nameof(Heads)} must divide the width {Width}, got {Heads}.", nameof(Heads));
    }
}
