using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A level of NCSN++ on the way up. State: <c>resnets</c>, <c>attentions</c>, <c>resnet_up</c>, <c>skip_norm</c>, <c>skip_conv</c>.
/// </summary>
public sealed class PyramidUpBlock : UNetBlock
{
    private readonly List<ResidualBlock> _residuals = [];
    private readonly IUNetLayer? _attention;
    private readonly FirFilter _filter;
    private readonly ResidualBlock? _upsample;
    private readonly GroupNormalization? _norm;
    private readonly Convolution? _toPyramid;

    /// <summary>A level; all but the first raise the resolution at their end.</summary>
    public PyramidUpBlock(PyramidBlockOptions options, UNetPlace place)
        : base(nameof(PyramidUpBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        var network = place.Network;
        for (var layer = 0; layer <= place.Layers; layer++)
        {
            var inputs = JoinedWidth(place, layer);
            var below = layer == 0 ? place.Inputs : place.Width;
            var groups = options.Attention is null ? (int?)null : Math.Min(below + ((inputs - below) / 4), 32);
            _residuals.Add(PyramidBlockOptions.Residual(place, inputs, groups));
        }

        Register("resnets", _residuals);
        if (options.Attention is not null)
            Register("attentions", [_attention = options.Attention.Build(place)]);
        register_module("filter", _filter = new FirFilter(mirror: false) { Raises = true });
        if (!place.Resamples)
            return;
        register_module("resnet_up", _upsample = PyramidBlockOptions.Residual(place, _filter));
        _norm = new GroupNormalization(PyramidBlockOptions.Groups(place.Width), place.Width, network.NormEpsilon);
        register_module("skip_norm", _norm);
        var answer = network.OutChannels ?? network.Channels;
        register_module("skip_conv", _toPyramid = Layers.Convolution(network.Dimensions, place.Width, answer, 3));
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
