using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The condition of a network: its inputs in addition to x_t and t. A network reads the tensors that it was
/// built for and ignores the others; samplers throw for labels, vectors and tokens that it would ignore.
/// </summary>
/// <remarks>
/// A condition is created by <see cref="Create"/> or <see cref="OfLabels"/>, owns its tensors and disposes them. For a custom condition,
/// derive from this class and override its virtual methods. Trainers and samplers pass the condition to the network.
/// </remarks>
public class Condition : IDisposable
{
    /// <summary>[B] int64 class labels, or null.</summary>
    public Tensor? Labels { get; private init; }

    /// <summary>[B, D] a vector for each sample, such as a pooled text embedding, or null.</summary>
    public Tensor? Vector { get; private init; }

    /// <summary>
    /// [B, D] a vector that is projected and added to the encoding of the timestep, such as an embedding of the guidance scale of a
    /// distilled network (Meng et al. 2023), or null.
    /// </summary>
    public Tensor? TimestepCondition { get; private init; }

    /// <summary>[B, L, D] tokens for cross-attention, such as the states of a text encoder, or null.</summary>
    public Tensor? EncoderHiddenStates { get; private init; }

    /// <summary>
    /// [B, L] bool: true for the tokens of <see cref="EncoderHiddenStates"/> that take part in attention, or null if all tokens do.
    /// </summary>
    public Tensor? EncoderAttentionMask { get; private init; }

    /// <summary>
    /// [B, C, H, W] an image that is concatenated to the channels of x_t, such as the known part of an image in inpainting, or null.
    /// </summary>
    public Tensor? Image { get; private init; }

    /// <summary>Initializes a condition in which all properties of this class are null, for use by derived classes.</summary>
    protected Condition()
    {
    }

    /// <summary>Initializes a condition with the tensors of another one, for use by derived classes that add tensors.</summary>
    /// <param name="source">The other condition. Ownership of its tensors passes to the new one.</param>
    protected Condition(Condition source)
    {
        ArgumentNullException.ThrowIfNull(source);
        (Labels, Vector, TimestepCondition) = (source.Labels, source.Vector, source.TimestepCondition);
        (EncoderHiddenStates, EncoderAttentionMask, Image) = (source.EncoderHiddenStates, source.EncoderAttentionMask, source.Image);
    }

    /// <summary>Creates a condition. Ownership of the tensors passes to it, unless an exception is thrown.</summary>
    /// <param name="labels">See <see cref="Labels"/>.</param>
    /// <param name="vector">See <see cref="Vector"/>.</param>
    /// <param name="timestepCondition">See <see cref="TimestepCondition"/>.</param>
    /// <param name="encoderHiddenStates">See <see cref="EncoderHiddenStates"/>.</param>
    /// <param name="encoderAttentionMask">
    /// See <see cref="EncoderAttentionMask"/>. Requires <paramref name="encoderHiddenStates"/>.
    /// </param>
    /// <param name="image">See <see cref="Image"/>.</param>
    /// <exception cref="ArgumentException">
    /// The batch sizes differ, a tensor has no batch dimension, the labels are not [B] int64, or the attention mask is not bool, does
    /// not have shape [B, L] for tokens of shape [B, L, D], or is passed without tokens.
    /// </exception>
    public static Condition Create(
        Tensor? labels = null,
        Tensor? vector = null,
        Tensor? timestepCondition = null,
        Tensor? encoderHiddenStates = null,
        Tensor? encoderAttentionMask = null,
        Tensor? image = null)
    {
        if (labels is not null)
        {
            Guard.Shape(labels, [-1]);
            RequireType(labels, ScalarType.Int64, nameof(labels));
        }

        if (encoderAttentionMask is not null)
        {
            if (encoderHiddenStates is null)
                throw new ArgumentException("An attention mask requires encoder hidden states, got none.", nameof(encoderAttentionMask));
            Guard.Shape(encoderHiddenStates, [-1, -1, -1]);
            Guard.Shape(encoderAttentionMask, encoderHiddenStates.shape.AsSpan(0, 2));
            RequireType(encoderAttentionMask, ScalarType.Bool, nameof(encoderAttentionMask));
        }

        long? batch = null;
        foreach (var (tensor, name) in ((Tensor?, string)[])
            [
                (labels, nameof(labels)), (vector, nameof(vector)), (timestepCondition, nameof(timestepCondition)),
                (encoderHiddenStates, nameof(encoderHiddenStates)), (encoderAttentionMask, nameof(encoderAttentionMask)), (image, nameof(image)),
            ])
        {
            if (tensor is null)
                continue;
            var size = tensor.dim() == 0
                ? throw new ArgumentException($"{name} must have a batch dimension, got a scalar.", name)
                : tensor.shape[0];
            if ((batch ??= size) != size)
                throw new ArgumentException(Invariant($"{name} must have the batch size of the other tensors, {batch}, got {size}."), name);
        }

        return new Condition
        {
            Labels = labels,
            Vector = vector,
            TimestepCondition = timestepCondition,
            EncoderHiddenStates = encoderHiddenStates,
            EncoderAttentionMask = encoderAttentionMask,
            Image = image,
        };
    }

    private static void RequireType(Tensor tensor, ScalarType type, string name)
    {
        if (tensor.dtype != type)
            throw new ArgumentException($"{name} must be {type}, got {tensor.dtype}.", name);
    }

    /// <summary>Creates a condition that contains class labels.</summary>
    /// <param name="labels">B labels, one for each sample.</param>
    /// <param name="device">The device. The default is the CPU.</param>
    public static Condition OfLabels(ReadOnlySpan<long> labels, Device? device = null)
        => new() { Labels = tensor(labels.ToArray(), dtype: ScalarType.Int64, device: device) };

    /// <summary>Copies the condition to another device. The copy to a CUDA device is asynchronous.</summary>
    /// <returns>A new condition that owns its tensors. The caller must dispose it.</returns>
    public virtual Condition To(Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        var onto = device.type == TorchSharp.DeviceType.CUDA;
        return Map(tensor => tensor.to(device, copy: true, non_blocking: onto));
    }

    /// <summary>Copies the condition and converts its floating point tensors to another type.</summary>
    /// <inheritdoc cref="To(Device)" path="/returns"/>
    public virtual Condition To(ScalarType dtype)
        => Map(tensor => tensor.is_floating_point() ? tensor.to(dtype, copy: true) : tensor.clone());

    /// <summary>Copies the samples [start, start + count) of the batch.</summary>
    /// <inheritdoc cref="To(Device)" path="/returns"/>
    public virtual Condition Slice(long start, long count) => Map(tensor => tensor.narrow(0, start, count).clone());

    /// <summary>
    /// Copies the condition and replaces some of its samples by those of another condition. A tensor that is null in either condition
    /// is not replaced. If only one of them has an <see cref="EncoderAttentionMask"/>, all tokens of the other one take part in
    /// attention.
    /// </summary>
    /// <param name="mask">[B] bool: true for the samples that are replaced.</param>
    /// <param name="other">The other condition, with a batch size of B, or of 1 for all samples, on the same device.</param>
    /// <inheritdoc cref="To(Device)" path="/returns"/>
    /// <exception cref="ArgumentException">
    /// The mask is not [B] bool, or a tensor of the other condition differs in shape, type or device.
    /// </exception>
    public virtual Condition Replace(Tensor mask, Condition other)
    {
        ArgumentNullException.ThrowIfNull(mask);
        ArgumentNullException.ThrowIfNull(other);
        Guard.Shape(mask, [-1]);
        if (mask.dtype != ScalarType.Bool)
            throw new ArgumentException($"The mask must be Bool, got {mask.dtype}.", nameof(mask));
        using var scope = NewDisposeScope();
        return Condition.Create(
            labels: Replaced(mask, Labels, other.Labels, nameof(Labels)),
            vector: Replaced(mask, Vector, other.Vector, nameof(Vector)),
            timestepCondition: Replaced(mask, TimestepCondition, other.TimestepCondition, nameof(TimestepCondition)),
            encoderHiddenStates: Replaced(mask, EncoderHiddenStates, other.EncoderHiddenStates, nameof(EncoderHiddenStates)),
            encoderAttentionMask: ReplacedSequenceMask(mask, other),
            image: Replaced(mask, Image, other.Image, nameof(Image))).OutOfScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the tensors.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
            return;
        foreach (var tensor in Tensors())
            tensor?.Dispose();
    }

    private Tensor?[] Tensors() => [Labels, Vector, TimestepCondition, EncoderHiddenStates, EncoderAttentionMask, Image];

    /// <summary>
    /// Moves the tensors from the current dispose scope to the enclosing one. If an exception is thrown before, the current scope
    /// frees them.
    /// </summary>
    private Condition OutOfScope()
    {
        foreach (var tensor in Tensors())
            tensor?.MoveToOuterDisposeScope();
        return this;
    }

    private Condition Map(Func<Tensor, Tensor> change)
    {
        Tensor? Changed(Tensor? tensor) => tensor is null ? null : change(tensor);
        using var scope = NewDisposeScope();
        return Condition.Create(
            labels: Changed(Labels),
            vector: Changed(Vector),
            timestepCondition: Changed(TimestepCondition),
            encoderHiddenStates: Changed(EncoderHiddenStates),
            encoderAttentionMask: Changed(EncoderAttentionMask),
            image: Changed(Image)).OutOfScope();
    }

    private static Tensor? Replaced(Tensor mask, Tensor? mine, Tensor? other, string name)
    {
        if (mine is null || other is null)
            return mine?.clone();
        var shape = mine.shape;
        if (other.dim() != mine.dim() || other.shape[0] is var batch && batch != 1 && batch != shape[0])
            throw new ArgumentException(
                $"The other {name} must have shape {Guard.Format([1, .. shape[1..]])} or {Guard.Format(shape)}, "
                + $"got {Guard.Format(other.shape)}.",
                nameof(other));
        Guard.Shape(other, [batch, .. shape[1..]], name);
        Guard.Shape(mask, [shape[0]]);
        Guard.SameType(mine, other, name, nameof(other));
        using var samples = mask.view([-1, .. Enumerable.Repeat(1L, shape.Length - 1)]);
        return where(samples, other, mine);
    }

    private Tensor? ReplacedSequenceMask(Tensor mask, Condition other)
    {
        if (EncoderHiddenStates is null || other.EncoderHiddenStates is null || (EncoderAttentionMask is null && other.EncoderAttentionMask is null))
            return EncoderAttentionMask?.clone();
        using var scope = NewDisposeScope();
        var mine = EncoderAttentionMask ?? ones(EncoderHiddenStates.shape[..2], dtype: ScalarType.Bool, device: EncoderHiddenStates.device);
        var theirs = other.EncoderAttentionMask ?? ones(other.EncoderHiddenStates.shape[..2], dtype: ScalarType.Bool, device: EncoderHiddenStates.device);
        return Replaced(mask, mine, theirs, nameof(EncoderAttentionMask))!.MoveToOuterDisposeScope();
    }
}
