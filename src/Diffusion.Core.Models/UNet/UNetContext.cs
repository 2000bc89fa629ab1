using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A layer of a U-Net, such as a residual block or attention. A layer must also be a <c>nn.Module</c>.</summary>
public interface IUNetLayer
{
    /// <summary>Computes the output of the layer.</summary>
    /// <param name="x">[B, C, ...]. The layer does not dispose it.</param>
    /// <param name="context">The conditions of the network.</param>
    /// <returns>[B, C', ...] as a new tensor. The caller must dispose the returned tensor.</returns>
    Tensor Forward(Tensor x, UNetContext context);
}

/// <summary>The options of a layer that follows the residual blocks of a level. Implement it for a custom layer.</summary>
public interface IUNetLayerOptions
{
    /// <summary>Creates a layer that preserves the number of channels.</summary>
    /// <param name="place">The position of the layer in the network, and its widths.</param>
    /// <exception cref="ArgumentException">The options do not fit the position.</exception>
    IUNetLayer Build(UNetPlace place);
}

/// <summary>The data that the blocks of a <see cref="UNet"/> share during one forward pass.</summary>
public sealed class UNetContext
{
    private long[]? _nextSize;

    /// <summary>The sum of the embeddings of time, class and other conditions: [B, E].</summary>
    public required Tensor Embedding { get; init; }

    /// <summary>[B, L, D] the tokens for cross-attention; <see langword="null"/> for none.</summary>
    public Tensor? EncoderHiddenStates { get; init; }

    /// <summary>
    /// [B, 1, 1, L] bool, <see langword="true"/> for the tokens that may be attended to; <see langword="null"/> for all tokens.
    /// </summary>
    public Tensor? EncoderAttentionMask { get; init; }

    /// <summary>The condition that the network received, for custom blocks.</summary>
    public Condition? Condition { get; init; }

    /// <summary>The images of the skip connections from the way down to the way up.</summary>
    public Stack<Tensor> Skips { get; } = new();

    /// <summary>
    /// The image pyramid of <see cref="NcsnppBlockOptions"/>: x_t at the current resolution on the way down, the sum of outputs on the way up.
    /// </summary>
    public Tensor? Pyramid { get; set; }

    /// <summary>Whether each layer stores only its inputs for the backward pass and is computed again there.</summary>
    public bool UseGradientCheckpointing { get; init; }

    /// <summary>Returns <see cref="EncoderHiddenStates"/>.</summary>
    /// <exception cref="ArgumentException">The condition has none.</exception>
    public Tensor RequireSequence() => EncoderHiddenStates
        ?? throw new ArgumentException("This network attends to a sequence of tokens, [B, L, D], and got none.", nameof(Condition));

    /// <summary>Returns the sizes of the next image of a skip connection, to which a block on the way up raises the resolution.</summary>
    public long[] NextSize() => _nextSize ?? Skips.Peek().shape[2..];

    /// <summary>Throws if an image, which was raised to twice its size, does not have the size of the next skip connection.</summary>
    internal void RequireNextSize(Tensor x)
    {
        if (!x.shape.AsSpan(2).SequenceEqual(NextSize()))
            throw new ArgumentException(
                $"This network needs sides that are divisible by two at every level, got {Guard.Format(NextSize())} at one.", nameof(x));
    }

    /// <summary>Calls a layer, with gradient checkpointing if <see cref="UseGradientCheckpointing"/> is set.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="x">[B, C, ...]. It is not disposed.</param>
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
