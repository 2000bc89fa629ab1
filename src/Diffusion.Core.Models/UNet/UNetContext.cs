using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A layer of a U-Net, such as a residual block or an attention: a module that also implements this.</summary>
public interface IUNetLayer
{
    /// <summary>The image after the layer.</summary>
    /// <param name="x">[B, C, ...]; not disposed here.</param>
    /// <param name="context">The condition of the whole network.</param>
    /// <returns>[B, C', ...] as a new tensor. The caller must dispose the returned tensor.</returns>
    Tensor Forward(Tensor x, UNetContext context);
}

/// <summary>The options of a layer that follows the residual blocks of a level. Implement it for a custom layer.</summary>
public interface IUNetLayerOptions
{
    /// <summary>A new layer that keeps the number of channels; a <c>nn.Module</c>.</summary>
    /// <param name="place">Where in the network it will stand.</param>
    /// <exception cref="ArgumentException">The options do not fit the place.</exception>
    IUNetLayer Build(UNetPlace place);
}

/// <summary>What the blocks of a <see cref="UNet"/> share during one forward pass.</summary>
public sealed class UNetContext
{
    private long[]? _nextSize;

    /// <summary>The sum of the embeddings of time, class and other conditions: [B, E].</summary>
    public required Tensor Embedding { get; init; }

    /// <summary>[B, L, D] tokens for cross-attention, or null.</summary>
    public Tensor? EncoderHiddenStates { get; init; }

    /// <summary>[B, 1, 1, L] bool, true for the tokens that may be attended to; null for all.</summary>
    public Tensor? EncoderAttentionMask { get; init; }

    /// <summary>The condition as the network got it, for blocks that take more of it.</summary>
    public Condition? Condition { get; init; }

    /// <summary>The images that cross from the way down to the way up, the latest on top.</summary>
    public Stack<Tensor> Skips { get; } = new();

    /// <summary>
    /// The image pyramid, where blocks have one: x_t itself on the way down, the output on the way up.
    /// </summary>
    public Tensor? Pyramid { get; set; }

    /// <summary>Keep only the inputs of each layer in training, and compute the rest again for the gradient.</summary>
    public bool UseGradientCheckpointing { get; init; }

    /// <summary>The sequence, for a layer that cannot do without.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public Tensor RequireSequence() => EncoderHiddenStates
        ?? throw new ArgumentException("This network attends to a sequence of tokens, [B, L, D], and got none.", nameof(Condition));

    /// <summary>The sizes of the image that crosses over next: what a block on the way up raises the resolution to.</summary>
    public long[] NextSize() => _nextSize ?? Skips.Peek().shape[2..];

    /// <summary>Calls a layer: the one place where layers are called.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="x">[B, C, ...]; not disposed here.</param>
    /// <returns>The output of the layer. The caller must dispose the returned tensor.</returns>
    public Tensor Call(IUNetLayer layer, Tensor x)
    {
        ArgumentNullException.ThrowIfNull(layer);
        if (!UseGradientCheckpointing)
            return layer.Forward(x, this);
        var nextSize = Skips.TryPeek(out var next) ? next.shape[2..] : null;
        return GradientCheckpointing.Run(
            inputs => layer.Forward(inputs[0]!, new UNetContext
            {
                Embedding = inputs[1]!,
                EncoderHiddenStates = inputs[2],
                EncoderAttentionMask = inputs[3],
                Condition = Condition,
                _nextSize = nextSize,
            }),
            x,
            Embedding,
            EncoderHiddenStates,
            EncoderAttentionMask);
    }
}
