using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The U-Net of DDPM: residual blocks told of time and class, self-attention at chosen resolutions, and skip connections between the
/// way down and the way up. It takes images of any height and width, odd ones too.
/// </summary>
/// <remarks>
/// <para>Source: Ho et al. 2020, appendix B; scale-shift norms and residual resampling: Dhariwal and Nichol 2021.</para>
/// <para>The state dict has the names of diffusers' <c>UNet2DModel</c>, whose weights fit an equal architecture.</para>
/// <para>
/// Parameters (<see cref="ModuleWeights.Count"/>): 35,746,307 for CIFAR-10 as in Ho et al. (widths 128, 256, 256, 256, attention at 16);
/// 6,138,369 for 28x28 digits with the default options and one channel.
/// </para>
/// <para>
/// On a device other than the CPU labels are not looked at: one outside 0..classes-1 is undefined there.
/// </para>
/// </remarks>
public sealed class UNet : DenoisingNetwork
{
    private readonly Conv2d _convolutionIn;
    private readonly SinusoidalEmbedding _sinusoids;
    private readonly TimeEmbedding _timeEmbedding;
    private readonly LabelEmbedding? _labelEmbedding;
    private readonly ModuleList<DownBlock> _down = new();
    private readonly MiddleBlock _middle;
    private readonly ModuleList<UpBlock> _up = new();
    private readonly GroupNorm _normOut;
    private readonly Conv2d _convolutionOut;

    /// <summary>A network with fresh weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
    public UNet(UNetOptions options)
        : base(nameof(UNet))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        var parts = new UNetParts(options);
        var width = parts.Widths[0];
        _convolutionIn = Layers.Convolution3x3(options.Channels, width);
        _sinusoids = new SinusoidalEmbedding(width, options.FlipSinToCos, options.FrequencyShift);
        _timeEmbedding = new TimeEmbedding(width, parts.EmbeddingWidth);
        if (options.Classes is { } classes)
            _labelEmbedding = new LabelEmbedding(classes, parts.EmbeddingWidth);
        for (var level = 0; level <= parts.LastLevel; level++)
            _down.Add(new DownBlock(parts, level));
        _middle = new MiddleBlock(parts);
        for (var level = parts.LastLevel; level >= 0; level--)
            _up.Add(new UpBlock(parts, level));
        _normOut = Layers.GroupNorm(parts.Groups, width, options.NormEpsilon);
        _convolutionOut = Layers.Convolution3x3(width, options.OutChannels ?? options.Channels);
        if (options.ZeroOutput)
            Layers.SetZero(_convolutionOut);
        RegisterByName();
    }

    /// <summary>The architecture.</summary>
    public UNetOptions Options { get; }

    /// <summary>The raw output of the network.</summary>
    /// <param name="xt">[B, C, H, W] noisy images, of the type and on the device of the weights.</param>
    /// <param name="t">[B] int64 or floating point times, the unit of which is one step: 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">With labels, [B] int64 in 0..classes-1, where the network has classes.</param>
    /// <returns>[B, out channels, H, W]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape, type, device or label does not fit; the message names what was expected.</exception>
    public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
    {
        Check(xt, t, condition);
        using var scope = NewDisposeScope();
        var embedding = Embed(xt, t, condition);
        var x = _convolutionIn.call(xt);
        var skips = new Stack<Tensor>();
        skips.Push(x);
        foreach (var block in _down)
            x = block.Forward(x, embedding, skips);
        x = _middle.Forward(x, embedding);
        foreach (var block in _up)
            x = block.Forward(x, embedding, skips);
        return _convolutionOut.call(nn.functional.silu(_normOut.call(x))).MoveToOuterDisposeScope();
    }

    private void RegisterByName()
    {
        register_module("conv_in", _convolutionIn);
        register_module("time_proj", _sinusoids);
        register_module("time_embedding", _timeEmbedding);
        if (_labelEmbedding is not null)
            register_module("class_embedding", _labelEmbedding);
        register_module("down_blocks", _down);
        register_module("mid_block", _middle);
        register_module("up_blocks", _up);
        register_module("conv_norm_out", _normOut);
        register_module("conv_out", _convolutionOut);
    }

    private Tensor Embed(Tensor xt, Tensor t, Condition? condition)
    {
        var sinusoids = _sinusoids.call(t).to(xt.dtype, xt.device);
        var embedding = _timeEmbedding.call(sinusoids);
        return _labelEmbedding is null ? embedding : embedding.add_(_labelEmbedding.call(condition!.Labels!));
    }

    private void Check(Tensor xt, Tensor t, Condition? condition)
    {
        Guard.Shape(xt, [-1, Options.Channels, -1, -1]);
        DenoiserGuard.Data(xt, _convolutionIn.weight);
        var smallest = Options.RoundsDown ? 1L << (_down.Count - 1) : 1L;
        if (xt.shape[2] < smallest || xt.shape[3] < smallest)
            throw new ArgumentException(
                $"{_down.Count} levels need images of at least {smallest} by {smallest}, got shape {Guard.Format(xt.shape)}.", nameof(xt));
        DenoiserGuard.Times(t, xt.shape[0]);
        if (Options.Classes is { } classes)
            DenoiserGuard.Labels(condition?.Labels, classes, xt.shape[0], _convolutionIn.weight);
    }
}
