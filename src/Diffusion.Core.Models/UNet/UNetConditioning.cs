using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The options of a condition of a <see cref="UNet"/> in addition to the timestep. Static members create the standard conditions.
/// Derive from this record for a custom condition.
/// </summary>
public abstract record UNetConditioning
{
    /// <summary>Creates the embedding of the condition.</summary>
    /// <param name="width">The width of the embedding.</param>
    /// <param name="network">The architecture of the network.</param>
    /// <param name="timeEncoding">The time encoding of the network, from [B] to [B, D]. The network disposes it.</param>
    /// <exception cref="ArgumentException">The options are not valid for this network.</exception>
    public abstract UNetConditioner Build(int width, UNetLayout network, nn.Module<Tensor, Tensor> timeEncoding);

    /// <summary>
    /// A condition on <see cref="Condition.Vector"/> without a projection: the vector must have the width of the embedding. It has no
    /// state.
    /// </summary>
    public static UNetConditioning Vector { get; } = Named(
        "vector", [], (width, _, _) => new(null, (condition, like) => VectorOf(condition, width, like)));

    /// <summary>
    /// A condition on <see cref="Condition.Labels"/>, which are encoded and embedded like timesteps. State: <c>linear_1</c>,
    /// <c>linear_2</c>.
    /// </summary>
    public static UNetConditioning LabelsAsTimes { get; } = Named("labels_as_times", [], (width, network, time) =>
    {
        var module = new TimeEmbedding(
            network.TimeEncoding.Width(network.Levels[0].Width), width, network.OuterActivation ?? network.Activation);
        return new(module, (condition, like) =>
        {
            using var encoded = time.call(LabelsOf(condition, like));
            using var cast = encoded.to(like.dtype, like.device);
            return module.call(cast);
        });
    });

    /// <summary>
    /// Creates a condition on <see cref="Condition.Labels"/>, with a learned vector for each class. State: <c>weight</c>.
    /// </summary>
    /// <param name="classes">The number of classes, including one for "no class" if it is trained.</param>
    public static UNetConditioning Classes(int classes)
    {
        Guard.Positive(classes);
        return Named("classes", [("classes", classes)], (width, _, _) =>
        {
            var table = new LabelEmbedding(classes, width);
            return new(table, (condition, like) =>
            {
                DenoiserGuard.Labels(condition?.Labels, classes, like.shape[0], like);
                return table.call(condition!.Labels!);
            });
        });
    }

    /// <summary>
    /// Creates a condition on <see cref="Condition.Vector"/>, projected by a linear layer. State: <c>weight</c>, <c>bias</c>.
    /// </summary>
    /// <param name="inputs">The width of the vector.</param>
    public static UNetConditioning LinearVector(int inputs)
    {
        Guard.Positive(inputs);
        return Named("linear_vector", [("inputs", inputs)], (width, _, _) => Through(inputs, Layers.Linear(inputs, width)));
    }

    /// <summary>
    /// Creates a condition on <see cref="Condition.Vector"/>, projected by two linear layers with a SiLU between them. State:
    /// <c>linear_1</c>, <c>linear_2</c>.
    /// </summary>
    /// <param name="inputs">The width of the vector.</param>
    public static UNetConditioning ProjectedVector(int inputs)
    {
        Guard.Positive(inputs);
        return Named("projected_vector", [("inputs", inputs)], (width, _, _) => Through(inputs, new TimeEmbedding(inputs, width)));
    }

    /// <summary>
    /// Creates a condition on <see cref="Condition.Vector"/>, which contains the pooled text embedding followed by numbers, such as the
    /// sizes and crops of SDXL (Podell et al. 2023, section 2.2). The numbers are encoded like timesteps, and all features are
    /// projected by two linear layers with a SiLU between them. State: <c>linear_1</c>, <c>linear_2</c>.
    /// </summary>
    /// <param name="textWidth">The width of the pooled text embedding: 1280 in SDXL.</param>
    /// <param name="numbers">
    /// How many numbers follow the pooled text embedding. The default is 6, as in SDXL: original height and width, top and left of the
    /// crop, target height and width.
    /// </param>
    /// <param name="numberWidth">The width of the encoding of each number, an even number. The default is 256, as in SDXL.</param>
    /// <param name="encoding">The encoding of each number. The default is <see cref="TimeEncoding.Sinusoidal"/>.</param>
    public static UNetConditioning TextAndNumbers(
        int textWidth, int numbers = 6, int numberWidth = 256, SinusoidalTimeEncoding? encoding = null)
    {
        encoding ??= TimeEncoding.Sinusoidal();
        Guard.Positive(textWidth);
        Guard.Positive(numbers);
        (string, JsonNode)[] settings =
        [
            ("text_width", textWidth), ("numbers", numbers), ("number_width", numberWidth),
            ("flip_sin_to_cos", encoding.FlipSinToCos), ("frequency_shift", encoding.FrequencyShift),
        ];
        return Named("text_and_numbers", settings, (width, _, _) =>
        {
            var module = new TextNumberEmbedding(
                textWidth, numbers, (SinusoidalEmbedding)encoding.Build(numberWidth), width);
            return new(module, (condition, like) => module.call(RequireVector(condition, textWidth + numbers, like), like));
        });
    }

    /// <summary>
    /// Creates a condition on <see cref="Condition.EncoderHiddenStates"/>, before any projection by the network, pooled to one vector by
    /// attention (Saharia et al. 2022, section 2.3). State: <c>norm1</c>, <c>pool</c>, <c>proj</c>, <c>norm2</c>.
    /// </summary>
    /// <param name="inputs">The width of the tokens.</param>
    /// <param name="heads">The number of attention heads, which must divide <paramref name="inputs"/>.</param>
    public static UNetConditioning PooledSequence(int inputs, int heads)
    {
        Guard.Positive(inputs);
        return Named("pooled_sequence", [("inputs", inputs), ("heads", heads)], (width, _, _) =>
        {
            var module = new SequenceEmbedding(inputs, heads, width);
            return new(module, (condition, _) => module.call(condition?.EncoderHiddenStates
                ?? throw new ArgumentException(
                    Invariant($"This network needs a sequence of tokens, [B, L, {inputs}], got none."), nameof(condition))));
        });
    }

    /// <summary>Creates a custom condition from a function.</summary>
    /// <param name="build">
    /// Creates the embedding from its width, the architecture of the network, and the time encoding, as <see cref="Build"/> does.
    /// </param>
    public static UNetConditioning Of(Func<int, UNetLayout, nn.Module<Tensor, Tensor>, UNetConditioner> build)
    {
        ArgumentNullException.ThrowIfNull(build);
        return new Delegated(build);
    }

    private static UNetConditioner Through(int inputs, nn.Module<Tensor, Tensor> module) => new(module, (condition, like) =>
    {
        using var vector = VectorOf(condition, inputs, like);
        return module.call(vector);
    });

    /// <summary>Returns the vectors of the samples with the type and on the device of another tensor, as a new tensor.</summary>
    private static Tensor VectorOf(Condition? condition, int width, Tensor like)
        => RequireVector(condition, width, like).to(like.dtype, like.device, copy: true);

    private static Tensor RequireVector(Condition? condition, int width, Tensor like)
    {
        var vector = condition?.Vector
            ?? throw new ArgumentException(
                Invariant($"This network needs a vector for each sample, [B, {width}], got none."), nameof(condition));
        Guard.Shape(vector, [like.shape[0], width], "condition.Vector");
        return vector;
    }

    private static Tensor LabelsOf(Condition? condition, Tensor like)
    {
        var labels = condition?.Labels
            ?? throw new ArgumentException("This network needs a label for each sample, [B], got none.", nameof(condition));
        DenoiserGuard.Times(labels, like.shape[0]);
        return labels;
    }

    private static Delegated Named(
        string name, (string Name, JsonNode Value)[] settings, Func<int, UNetLayout, nn.Module<Tensor, Tensor>, UNetConditioner> build)
        => new(build)
        {
            Description = new JsonObject(
                [new("type", name), .. settings.Select(pair => KeyValuePair.Create<string, JsonNode?>(pair.Name, pair.Value))]),
        };

    internal sealed record Delegated(Func<int, UNetLayout, nn.Module<Tensor, Tensor>, UNetConditioner> Make) : UNetConditioning
    {
        /// <summary>The description in model files; <see langword="null"/> for a custom condition.</summary>
        public JsonObject? Description { get; init; }

        public override UNetConditioner Build(int width, UNetLayout network, nn.Module<Tensor, Tensor> timeEncoding)
            => Make(width, network, timeEncoding);
    }
}

/// <summary>The embedding of a condition.</summary>
/// <param name="Module">The module with learned parameters, which the network registers; <see langword="null"/> if there is none.</param>
/// <param name="Embed">
/// Maps the condition, and a tensor with the batch size, type and device of the output, to a new tensor [B, width]. It throws an
/// <see cref="ArgumentException"/> if the condition lacks the required tensor.
/// </param>
public sealed record UNetConditioner(nn.Module? Module, Func<Condition?, Tensor, Tensor> Embed);

/// <summary>Validates the condition of a U-Net before any native call.</summary>
internal static class UNetConditionGuard
{
    /// <summary>Throws if the condition has tensors that the network cannot use.</summary>
    public static void Check(UNetLayout layout, Condition? condition, Tensor xt)
    {
        var batch = xt.shape[0];
        if (layout.TimestepConditionWidth is { } width && condition?.TimestepCondition is { } vector)
        {
            Guard.Shape(vector, [batch, width], "condition.TimestepCondition");
            Guard.SameType(xt, vector, secondName: "condition.TimestepCondition");
        }

        if (condition?.EncoderHiddenStates is { } sequence)
            CheckSequence(layout, sequence, condition.EncoderAttentionMask, xt);
    }

    /// <summary>Returns whether no part of the network reads a condition. Blocks of other classes may read any.</summary>
    internal static bool IsUnconditional(UNetLayout layout)
        => layout is { ClassEmbedding: null, AddedEmbedding: null, SequenceWidth: null }
            && layout.Levels.SelectMany(level => (IUNetBlockOptions?[])[level.Down, level.Up]).Append(layout.Middle).All(block => block
                is null
                or KBlockOptions
                or UNetBlockOptions { Attention: null or SelfAttentionOptions }
                or NcsnppBlockOptions { Attention: null or SelfAttentionOptions }
                || block == UNetMiddle.None);

    private static void CheckSequence(UNetLayout layout, Tensor sequence, Tensor? mask, Tensor xt)
    {
        Guard.Shape(sequence, [xt.shape[0], -1, layout.SequenceWidth ?? -1], "condition.EncoderHiddenStates");
        Guard.SameType(xt, sequence, secondName: "condition.EncoderHiddenStates");
        if (sequence.shape[1] == 0)
            throw new ArgumentException(
                $"condition.EncoderHiddenStates must contain at least one token, got shape {Guard.Format(sequence.shape)}.",
                nameof(sequence));
        if (mask is null)
            return;
        Guard.Shape(mask, [xt.shape[0], sequence.shape[1]], "condition.EncoderAttentionMask");
        if (mask.dtype != ScalarType.Bool)
            throw new ArgumentException($"condition.EncoderAttentionMask must be Bool, got {mask.dtype}.", nameof(mask));
        DenoiserGuard.SameDevice(mask, xt, "condition.EncoderAttentionMask");
    }
}
