using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The block of score-SDE's NCSN++: the resolution changes through a fixed filter, and an image pyramid accompanies the features, read on
/// the way down and summed to the output on the way up. All levels of a network must have it.
/// </summary>
/// <remarks>
/// Source: Song et al. 2021, appendix H.1. The groups of norms follow from the channels, a quarter of them and up to 32, independently of
/// the options of the
/// network. The sides of an image must be divisible by two at every level.
/// </remarks>
public sealed record NcsnppBlockOptions : IUNetBlockOptions
{
    /// <summary>
    /// What follows each residual block on the way down, and all of them on the way up; null, the default, for nothing.
    /// </summary>
    public IUNetLayerOptions? Attention { get; init; }

    /// <summary>What sums are divided by. sqrt(2) by default, which keeps their variance.</summary>
    public double OutputScale { get; init; } = Math.Sqrt(2);

    /// <inheritdoc/>
    public UNetBlock Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        var here = place with { OutputScale = OutputScale };
        return place.Direction switch
        {
            UNetDirection.Down => new NcsnppDownBlock(this, here),
            UNetDirection.Up => new NcsnppUpBlock(this, here),
            _ => throw new ArgumentException($"{nameof(NcsnppBlockOptions)} describe levels, not the middle.", nameof(place)),
        };
    }

    /// <inheritdoc/>
    public long Halve(long side) => side / 2;

    /// <summary>The groups of a norm.</summary>
    internal static int Groups(int channels) => Math.Clamp(channels / 4, 1, 32);

    /// <summary>A residual block.</summary>
    /// <remarks>
    /// With attention on the way up, diffusers takes the groups of what comes from below whole, not a quarter; the quotient of what crosses
    /// over is all that is divided. Kept, so that its networks load.
    /// </remarks>
    internal static ResidualBlock Residual(UNetPlace place, int inputs, int? groups = null) => new(place.Residual(inputs, place.Width) with
    {
        Groups = groups ?? Groups(inputs),
        OutputGroups = Groups(place.Width),
    });

    /// <summary>A residual block that changes the resolution.</summary>
    internal static ResidualBlock Residual(UNetPlace place, FirFilter filter) => new(place.Residual(place.Width, place.Width) with
    {
        Groups = Groups(place.Width),
        ConvolvesShortcut = true,
        Resample = (image, _) => filter.call(image),
    });
}

/// <summary>
/// A level of NCSN++ on the way down. State: <c>resnets</c>, <c>attentions</c>, <c>resnet_down</c>, <c>skip_conv</c>.
/// </summary>
internal sealed class NcsnppDownBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly List<IUNetLayer> _attentions = [];
    private readonly FirFilter? _filter;
    private readonly ResidualBlock? _downsample;
    private readonly Convolution? _fromPyramid;

    /// <summary>A level; all but the last halve the resolution at their end.</summary>
    public NcsnppDownBlock(NcsnppBlockOptions options, UNetPlace place)
        : base(nameof(NcsnppDownBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        for (var layer = 0; layer < place.Layers; layer++)
        {
            _residuals.Add(NcsnppBlockOptions.Residual(place, layer == 0 ? place.Inputs : place.Width));
            if (options.Attention is not null)
                _attentions.Add(options.Attention.Build(place));
        }

        Register("resnets", _residuals);
        Register("attentions", _attentions);
        if (!place.Resamples)
            return;
        register_module("filter", _filter = new FirFilter(mirror: false));
        register_module("resnet_down", _downsample = NcsnppBlockOptions.Residual(place, _filter));
        register_module("skip_conv", _fromPyramid = Layers.Convolution(place.Network.Dimensions, place.Network.Channels, place.Width, 1));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        for (var layer = 0; layer < _residuals.Count; layer++)
            context.Skips.Push(x = Paired(context, x, _residuals[layer], _attentions.ElementAtOrDefault(layer)));
        if (_downsample is null)
            return x;
        context.Pyramid = _filter!.Halve(context.Pyramid!);
        using var beside = _fromPyramid!.call(context.Pyramid);
        using var smaller = context.Call(_downsample, x);
        context.Skips.Push(x = smaller.Add(beside));
        return x;
    }
}

/// <summary>
/// A level of NCSN++ on the way up. State: <c>resnets</c>, <c>attentions</c>, <c>resnet_up</c>, <c>skip_norm</c>, <c>skip_conv</c>.
/// </summary>
internal sealed class NcsnppUpBlock : UNetBlock
{
    private readonly List<ResidualBlock> _residuals = [];
    private readonly IUNetLayer? _attention;
    private readonly FirFilter _filter;
    private readonly ResidualBlock? _upsample;
    private readonly GroupNormalization? _norm;
    private readonly Convolution? _toPyramid;

    /// <summary>A level; all but the first raise the resolution at their end.</summary>
    public NcsnppUpBlock(NcsnppBlockOptions options, UNetPlace place)
        : base(nameof(NcsnppUpBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        var network = place.Network;
        for (var layer = 0; layer <= place.Layers; layer++)
        {
            var inputs = JoinedWidth(place, layer);
            var below = layer == 0 ? place.Inputs : place.Width;
            var groups = options.Attention is null ? (int?)null : Math.Min(below + ((inputs - below) / 4), 32);
            _residuals.Add(NcsnppBlockOptions.Residual(place, inputs, groups));
        }

        Register("resnets", _residuals);
        if (options.Attention is not null)
            Register("attentions", [_attention = options.Attention.Build(place)]);
        register_module("filter", _filter = new FirFilter(mirror: false) { Raises = true });
        if (!place.Resamples)
            return;
        register_module("resnet_up", _upsample = NcsnppBlockOptions.Residual(place, _filter));
        _norm = new GroupNormalization(NcsnppBlockOptions.Groups(place.Width), place.Width, network.NormEpsilon);
        register_module("skip_norm", _norm);
        var output = network.OutChannels ?? network.Channels;
        register_module("skip_conv", _toPyramid = Layers.Convolution(network.Dimensions, place.Width, output, 3));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        using var scope = NewDisposeScope();
        for (var layer = 0; layer < _residuals.Count; layer++)
        {
            using var joined = Join(x, context);
            if (layer > 0)
                x.Dispose();
            x = Paired(context, joined, _residuals[layer], layer == _residuals.Count - 1 ? _attention : null);
        }

        if (context.Pyramid is not null)
            context.Pyramid = _filter.Double(context.Pyramid);
        if (_upsample is not null)
        {
            using var normed = _norm!.call(x);
            using var activated = nn.functional.silu(normed);
            var part = _toPyramid!.call(activated);
            context.Pyramid = context.Pyramid is null ? part : context.Pyramid.Add(part);
            x = Layers.Replace(x, context.Call(_upsample, x));
            if (!x.shape.AsSpan(2).SequenceEqual(context.NextSize()))
                throw new ArgumentException(
                    "A network with an image pyramid needs sides that are divisible by two at every level, "
                    + $"got {Guard.Format(context.NextSize())} at one.",
                    nameof(x));
        }

        context.Pyramid?.MoveToOuterDisposeScope();
        return x.MoveToOuterDisposeScope();
    }
}
