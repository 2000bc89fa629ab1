using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The U-Net of diffusion models: levels of residual blocks and attention, conditioned on time and other inputs, and skip connections
/// between
/// the way down and the way up. It takes images of any height and width, odd ones too, and lines and volumes with other
/// <see cref="UNetOptions.Dimensions"/>.
/// </summary>
/// <remarks>
/// <para>
/// Source: Ho et al. 2020, appendix B; scale-shift norms and residual resampling: Dhariwal and Nichol 2021; cross-attention: Rombach et
/// al. 2022.
/// </para>
/// <para>
/// The state dict has the names of diffusers' <c>UNet2DModel</c> and <c>UNet2DConditionModel</c>, whose weights fit an equal architecture.
/// </para>
/// <para>
/// Parameters (<see cref="ModuleWeights.Count"/>): 35,746,307 for CIFAR-10 as in Ho et al. (widths 128, 256, 256, 256, attention at 16);
/// 6,138,369 for 28x28 digits with the default options and one channel. <see cref="UNetPresets"/> has more.
/// </para>
/// <para>
/// On a device other than the CPU labels are not checked: one outside 0..classes-1 is undefined there.
/// </para>
/// </remarks>
public sealed class UNet : DenoisingNetwork
{
    private readonly long _smallestSide;
    private readonly Convolution _convolutionIn;
    private readonly nn.Module<Tensor, Tensor> _timeEncoding;
    private readonly TimeEmbedding _timeEmbedding;
    private readonly UNetConditioner? _classEmbedding;
    private readonly UNetConditioner? _addedEmbedding;
    private readonly Linear? _sequenceProjection;
    private readonly ModuleList<UNetBlock> _down = new();
    private readonly UNetBlock _middle;
    private readonly ModuleList<UNetBlock> _up = new();
    private readonly GroupNormalization _normOut;
    private readonly Convolution _convolutionOut;
    private readonly HostLayout _layout;

    /// <summary>A network with fresh weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
    public UNet(UNetOptions options)
        : base(nameof(UNet))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        var levels = options.ToLevels();
        var width = levels[0].Width;
        _layout = new HostLayout(levels.Select(level => level.Width));
        _smallestSide = SmallestSide(levels, options.ImageSize);
        _timeEncoding = options.TimeEncoding.Build(width);
        _timeEmbedding = new TimeEmbedding(
            options.TimeEncoding.Width(width), options.TimeWidth, options.OuterActivation ?? options.Activation, options.TimestepConditionWidth);
        var labels = options.ClassEmbedding ?? (options.Classes is { } classes ? UNetConditioning.Classes(classes) : null);
        _classEmbedding = labels?.Build(options.TimeWidth, options, _timeEncoding);
        _addedEmbedding = options.AddedEmbedding?.Build(options.TimeWidth, options, _timeEncoding);
        if (options.SequenceWidth is { } sequence)
            _sequenceProjection = nn.Linear(sequence, options.ProjectedSequenceWidth!.Value);
        _convolutionIn = Layers.Convolution(options.Dimensions, options.Channels, width, options.InputKernel);
        foreach (var place in UNetPlaces.Down(options))
            _down.Add(levels[place.Level].Down.Build(place));
        _middle = options.ToMiddle().Build(UNetPlaces.Middle(options));
        foreach (var place in UNetPlaces.Up(options))
            _up.Add((levels[place.Level].Up ?? levels[place.Level].Down).Build(place));
        _normOut = new GroupNormalization(options.Groups(), width, options.NormEpsilon)
        {
            Activation = options.OuterActivation ?? options.Activation,
        };
        _convolutionOut = Layers.Convolution(options.Dimensions, width, options.OutChannels ?? options.Channels, options.OutputKernel);
        if (options.ZeroOutput)
            Layers.SetZero(_convolutionOut);
        RegisterByName();
    }

    /// <summary>The architecture.</summary>
    public UNetOptions Options { get; }

    /// <summary>The raw output of the network.</summary>
    /// <param name="xt">
    /// [B, C, H, W] noisy images, or as many sizes as there are dimensions, of the type and on the device of the weights.
    /// </param>
    /// <param name="t">[B] int64 or floating point times, the unit of which is one step: 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">
    /// The condition for which the network was built: labels ([B] int64 in 0..classes-1), a vector, a sequence to attend to.
    /// </param>
    /// <returns>[B, out channels, H, W]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">A shape, type, device or label does not fit; the message names what was expected.</exception>
    public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
    {
        Check(xt, t, condition);
        using var scope = NewDisposeScope();
        var input = Options.CenterInput ? xt.Mul(2).Sub_(1) : xt;
        var context = new UNetContext
        {
            Embedding = Embed(xt, t, condition),
            EncoderHiddenStates = EncoderHiddenStates(condition),
            EncoderAttentionMask = condition?.EncoderAttentionMask?.unsqueeze(1).unsqueeze(1),
            Condition = condition,
            UseGradientCheckpointing = Options.UseGradientCheckpointing && training,
            Pyramid = input,
        };
        var x = _layout.Enter(_convolutionIn, input);
        context.Skips.Push(x);
        foreach (var block in _down)
            x = block.Forward(x, context);
        x = _middle.Forward(x, context);
        context.Pyramid = null;
        x = _up[0].Forward(x, context);
        foreach (var block in _up.Skip(1))
            x = Layers.Replace(x, block.Forward(x, context));
        var answer = _layout.Leave(_convolutionOut, _normOut.call(x));
        if (context.Pyramid is not null)
            answer = answer.Add(context.Pyramid);
        if (Options.DivideByTime)
            answer = answer.div(Layers.Trailing(t.to(xt.dtype, xt.device), Options.Dimensions + 1));
        return answer.MoveToOuterDisposeScope();
    }

    private void RegisterByName()
    {
        register_module("conv_in", _convolutionIn);
        register_module("time_proj", _timeEncoding);
        register_module("time_embedding", _timeEmbedding);
        if (_classEmbedding?.Module is { } classes)
            register_module("class_embedding", classes);
        if (_addedEmbedding?.Module is { } added)
            register_module("add_embedding", added);
        if (_sequenceProjection is not null)
            register_module("encoder_hid_proj", _sequenceProjection);
        register_module("down_blocks", _down);
        register_module("mid_block", _middle);
        register_module("up_blocks", _up);
        register_module("conv_norm_out", _normOut);
        register_module("conv_out", _convolutionOut);
    }

    private Tensor Embed(Tensor xt, Tensor t, Condition? condition)
    {
        var encoded = _timeEncoding.call(t).to(xt.dtype, xt.device);
        var embedding = _timeEmbedding.forward(encoded, Options.TimestepConditionWidth is null ? null : condition?.TimestepCondition);
        if (Options.TimeActivation is not null)
            embedding = Options.TimeActivation.Apply(embedding);
        if (_classEmbedding?.Embed(condition, xt) is { } classes)
            embedding = Options.JoinClassEmbedding ? cat([embedding, classes], 1) : embedding.Add(classes);
        if (_addedEmbedding is not null)
            embedding = embedding.Add(_addedEmbedding.Embed(condition, xt));
        return Options.EmbeddingActivation is null ? embedding : Options.EmbeddingActivation.Apply(embedding);
    }

    private Tensor? EncoderHiddenStates(Condition? condition)
        => condition?.EncoderHiddenStates is { } sequence && _sequenceProjection is not null
            ? _sequenceProjection.call(sequence)
            : condition?.EncoderHiddenStates;

    private void Check(Tensor xt, Tensor t, Condition? condition)
    {
        Layers.CheckImage(xt, Options.Dimensions, Options.Channels, nameof(xt));
        DenoiserGuard.Data(xt, _convolutionIn.weight);
        if (xt.shape.AsSpan(2).ContainsAnyExceptInRange(_smallestSide, long.MaxValue))
            throw new ArgumentException(
                $"{_down.Count} levels need images of at least "
                + $"{string.Join(" by ", Enumerable.Repeat(_smallestSide, Options.Dimensions))}, "
                + $"got shape {Guard.Format(xt.shape)}.",
                nameof(xt));
        DenoiserGuard.Times(t, xt.shape[0]);
        UNetConditionGuard.Check(Options, condition, xt);
    }

    /// <summary>The least power of two that is at least one pixel at the last level; at most the side that is known to be.</summary>
    private static long SmallestSide(IReadOnlyList<UNetLevel> levels, long known)
    {
        var side = 1L;
        while (side < known && levels.SkipLast(1).Aggregate(side, (rest, level) => level.Down.Halve(rest)) < 1)
            side *= 2;
        return Math.Min(side, known);
    }
}
