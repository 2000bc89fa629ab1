using System.Runtime.CompilerServices;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The U-Net of diffusion models: levels of residual blocks and attention, conditioned on the timestep and other inputs, with skip
/// connections from the down path to the up path. <see cref="UNetLayout.Dimensions"/> selects one-, two- or three-dimensional data. With
/// <see cref="UNetBlockOptions"/>, the sides of the images may be odd; other blocks may require even sides.
/// </summary>
/// <remarks>
/// <para>
/// Source: Ho et al. 2020, appendix B; scale-shift norms and residual resampling: Dhariwal and Nichol 2021; cross-attention: Rombach et
/// al. 2022.
/// </para>
/// <para>
/// The state dict has the keys of diffusers' <c>UNet2DModel</c> and <c>UNet2DConditionModel</c>, so that weights of the same architecture
/// can be loaded.
/// </para>
/// <para>
/// Parameters (<see cref="ModuleWeights.Count"/>): 35,746,307 for CIFAR-10 as in Ho et al. (widths 128, 256, 256, 256, attention at
/// resolution 16); 6,138,369 with the default options and one channel. <see cref="UNetPresets"/> lists further networks.
/// </para>
/// <para>
/// Labels are validated on the CPU only. On other devices, the behavior for a label outside 0..classes-1 is undefined.
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
    private readonly HostLayout _hostLayout;

    /// <summary>
    /// Initializes a network with uniform levels, with random weights from the default generator, on the CPU, in float32.
    /// </summary>
    /// <exception cref="ArgumentException">An option is out of range or inconsistent with another.</exception>
    [OverloadResolutionPriority(1)]
    public UNet(UNetOptions options)
        : this(Guard.NotNull(options).ToLayout())
    {
    }

    /// <summary>Initializes a network with random weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">A value of the layout is out of range or inconsistent with another.</exception>
    public UNet(UNetLayout layout)
        : base(nameof(UNet))
    {
        ArgumentNullException.ThrowIfNull(layout);
        layout.Validate();
        Layout = layout;
        var levels = layout.Levels;
        var width = levels[0].Width;
        _hostLayout = new HostLayout(levels.Select(level => level.Width));
        _smallestSide = SmallestSide(levels, layout.ImageSize);
        _timeEncoding = layout.TimeEncoding.Build(width);
        _timeEmbedding = new TimeEmbedding(
            layout.TimeEncoding.Width(width), layout.TimeWidth, layout.OuterActivation ?? layout.Activation, layout.TimestepConditionWidth);
        _classEmbedding = layout.ClassEmbedding?.Build(layout.TimeWidth, layout, _timeEncoding);
        _addedEmbedding = layout.AddedEmbedding?.Build(layout.TimeWidth, layout, _timeEncoding);
        if (layout.SequenceWidth is { } sequence)
            _sequenceProjection = Layers.Linear(sequence, layout.ProjectedSequenceWidth!.Value);
        _convolutionIn = Layers.Convolution(layout.Dimensions, layout.Channels, width, layout.InputKernel);
        foreach (var place in UNetPlaces.Down(layout))
            _down.Add(levels[place.Level].Down.Build(place));
        _middle = layout.Middle.Build(UNetPlaces.Middle(layout));
        foreach (var place in UNetPlaces.Up(layout))
            _up.Add((levels[place.Level].Up ?? levels[place.Level].Down).Build(place));
        _normOut = new GroupNormalization(layout.Groups(), width, layout.NormEpsilon)
        {
            Activation = layout.OuterActivation ?? layout.Activation,
        };
        _convolutionOut = Layers.Convolution(layout.Dimensions, width, layout.OutChannels ?? layout.Channels, layout.OutputKernel);
        if (layout.ZeroOutput)
            Layers.SetZero(_convolutionOut);
        RegisterByName();
    }

    /// <summary>The architecture.</summary>
    public UNetLayout Layout { get; }

    internal override string? UnusedPart(Condition condition)
        => UNetConditionGuard.IsUnconditional(Layout) ? DenoiserGuard.UnusedPart(condition) : null;

    /// <summary>Computes the output of the network.</summary>
    /// <param name="xt">
    /// The noisy data, [B, C, H, W] or the shape for other <see cref="UNetLayout.Dimensions"/>, with the type and on the device of the
    /// weights.
    /// </param>
    /// <param name="t">[B] timesteps, int64 or floating point; 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">
    /// The condition, with the members that the layout requires, such as labels ([B] int64 in 0..classes-1), a vector, or tokens for
    /// cross-attention.
    /// </param>
    /// <returns>[B, out channels, H, W]. The caller must dispose the returned tensor.</returns>
    /// <exception cref="ArgumentException">
    /// A tensor has the wrong shape, type or device, a label is out of range, or a required condition is missing.
    /// </exception>
    public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
    {
        Check(xt, t, condition);
        using var scope = NewDisposeScope();
        var input = Layout.CenterInput ? xt.Mul(2).Sub_(1) : xt;
        var context = new UNetContext
        {
            Embedding = Embed(xt, t, condition),
            EncoderHiddenStates = EncoderHiddenStates(condition),
            EncoderAttentionMask = condition?.EncoderAttentionMask?.unsqueeze(1).unsqueeze(1),
            Condition = condition,
            UseGradientCheckpointing = Layout.UseGradientCheckpointing && training,
            Pyramid = input,
        };
        var x = _hostLayout.Enter(_convolutionIn, input);
        context.Skips.Push(x);
        foreach (var block in _down)
            x = block.Forward(x, context);
        x = _middle.Forward(x, context);
        context.Pyramid = null;
        x = _up[0].Forward(x, context);
        foreach (var block in _up.Skip(1))
            x = Layers.Replace(x, block.Forward(x, context));
        var output = _hostLayout.Leave(_convolutionOut, _normOut.call(x));
        if (context.Pyramid is not null)
            output = output.Add(context.Pyramid);
        if (Layout.DivideByTime)
            output = output.div(Layers.Trailing(t.to(xt.dtype, xt.device), Layout.Dimensions + 1));
        return output.MoveToOuterDisposeScope();
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
        // The conditions are embedded first, because this throws if a required member is missing.
        var (classes, added) = (_classEmbedding?.Embed(condition, xt), _addedEmbedding?.Embed(condition, xt));
        var encoded = _timeEncoding.call(t).to(xt.dtype, xt.device);
        var embedding = _timeEmbedding.forward(encoded, Layout.TimestepConditionWidth is null ? null : condition?.TimestepCondition);
        if (Layout.TimeActivation is not null)
            embedding = Layout.TimeActivation.Apply(embedding);
        if (classes is not null)
            embedding = Layout.JoinClassEmbedding ? cat([embedding, classes], 1) : embedding.Add(classes);
        if (added is not null)
            embedding = embedding.Add(added);
        return Layout.EmbeddingActivation is null ? embedding : Layout.EmbeddingActivation.Apply(embedding);
    }

    private Tensor? EncoderHiddenStates(Condition? condition)
        => condition?.EncoderHiddenStates is { } sequence && _sequenceProjection is not null
            ? _sequenceProjection.call(sequence)
            : condition?.EncoderHiddenStates;

    private void Check(Tensor xt, Tensor t, Condition? condition)
    {
        Layers.CheckImage(xt, Layout.Dimensions, Layout.Channels, nameof(xt));
        DenoiserGuard.Data(xt, _convolutionIn.weight);
        if (xt.shape.AsSpan(2).ContainsAnyExceptInRange(_smallestSide, long.MaxValue))
            throw new ArgumentException(
                $"{_down.Count} levels need images of at least "
                + Invariant($"{string.Join(" by ", Enumerable.Repeat(_smallestSide, Layout.Dimensions))}, ")
                + $"got shape {Guard.Format(xt.shape)}.",
                nameof(xt));
        DenoiserGuard.Times(t, xt.shape[0]);
        UNetConditionGuard.Check(Layout, condition, xt);
    }

    /// <summary>
    /// Returns the smallest power of two for which the last level has at least one pixel, or <paramref name="known"/>, a side for which
    /// this is known, if that is smaller.
    /// </summary>
    private static long SmallestSide(IReadOnlyList<UNetLevel> levels, long known)
    {
        var side = 1L;
        while (side < known && levels.SkipLast(1).Aggregate(side, (rest, level) => level.Down.Halve(rest)) < 1)
            side *= 2;
        return Math.Min(side, known);
    }
}
