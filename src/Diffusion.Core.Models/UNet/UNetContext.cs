using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A layer of a U-Net, such as a residual block or attention. A layer must also be an <see cref="nn.Module"/>.</summary>
public interface IUNetLayer
{
    /// <summary>Computes the output of the layer.</summary>
    /// <param name="x">[B, C, ...]. The layer does not dispose it.</param>
    /// <param name="context">The data that the blocks share, such as the embedding and the tokens.</param>
    /// <returns>[B, C', ...], a new tensor. The caller must dispose the returned tensor.</returns>
    Tensor Forward(Tensor x, UNetContext context);
}

/// <summary>The options of a layer that follows the residual blocks of a level. Implement this interface for a custom layer.</summary>
public interface IUNetLayerOptions
{
    /// <summary>Creates a layer that preserves the number of channels.</summary>
    /// <param name="place">The position of the layer in the network, and its widths.</param>
    /// <exception cref="ArgumentException">The options are not valid for this position.</exception>
    IUNetLayer Build(UNetPlace place);
}

/// <summary>The data that the blocks of a <see cref="UNet"/> share during one forward pass.</summary>
public sealed class UNetContext
{
    private long[]? _nextSize;

    /// <summary>The combined embedding of the timestep and other conditions, [B, E].</summary>
    public required Tensor Embedding { get; init; }

    /// <summary>The tokens for cross-attention, [B, L, D]; <see langword="null"/> if there are none.</summary>
    public Tensor? EncoderHiddenStates { get; init; }

    /// <summary>
    /// The attention mask of the tokens, [B, 1, 1, L] bool: <see langword="true"/> for the tokens that may be attended to;
    /// <see langword="null"/> for all tokens.
    /// </summary>
    public Tensor? EncoderAttentionMask { get; init; }

    /// <summary>The condition that the network received, for custom blocks.</summary>
    public Condition? Condition { get; init; }

    /// <summary>The images of the skip connections from the down path to the up path.</summary>
    public Stack<Tensor> Skips { get; } = new();

    /// <summary>
    /// The image pyramid of <see cref="NcsnppBlockOptions"/> at the current resolution: the downsampled x_t on the down path, the sum
    /// of the outputs so far on the up path.
    /// </summary>
    public Tensor? Pyramid { get; set; }

    /// <summary>Whether only the inputs of each layer are stored for the backward pass, which recomputes the layer.</summary>
    public bool UseGradientCheckpointing { get; init; }

    /// <summary>Returns <see cref="EncoderHiddenStates"/>.</summary>
    /// <exception cref="ArgumentException">The condition has no tokens.</exception>
    public Tensor RequireSequence() => EncoderHiddenStates
        ?? throw new ArgumentException(
            "This network needs a sequence of tokens, [B, L, D], for cross-attention, got none.", nameof(Condition));

    /// <summary>Returns the spatial sizes of the next skip connection, to which a block on the up path upsamples its output.</summary>
    public long[] NextSize() => _nextSize ?? Skips.Peek().shape[2..];

    /// <summary>Throws if an image that was upsampled by a factor of two does not have the sizes of the next skip connection.</summary>
    internal void RequireNextSize(Tensor x)
    {
        if (!x.shape.AsSpan(2).SequenceEqual(NextSize()))
            throw new ArgumentException(
                $"The sides of images must be divisible by two at every level but the last, got a level with sides {Guard.Format(NextSize())}.",
                nameof(x));
    }

    /// <summary>Calls a layer, with gradient checkpointing if <see cref="UseGradientCheckpointing"/> is set.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="x">[B, C, ...]. The method does not dispose it.</param>
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
