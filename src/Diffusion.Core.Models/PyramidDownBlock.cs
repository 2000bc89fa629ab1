using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A level of NCSN++ on the way down. State: <c>resnets</c>, <c>attentions</c>, <c>resnet_down</c>, <c>skip_conv</c>.
/// </summary>
public sealed class PyramidDownBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly List<IUNetLayer> _attentions = [];
    private readonly FirFilter? _filter;
    private readonly ResidualBlock? _downsample;
    private readonly Convolution? _fromPyramid;

    /// <summary>A level; all but the last halve the resolution at their end.</summary>
    public PyramidDownBlock(PyramidBlockOptions options, UNetPlace place)
        : base(nameof(PyramidDownBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        for (var layer = 0; layer < place.Layers; layer++)
        {
            _residuals.Add(PyramidBlockOptions.Residual(place, layer == 0 ? place.Inputs : place.Width));
            if (options.Attention is not null)
                _attentions.Add(options.Attention.Build(place));
        }

        Register("resnets", _residuals);
        Register("attentions", _attentions);
        if (!place.Resamples)
            return;
        register_module("filter", _filter = new FirFilter(mirror: false));
        register_module("resnet_down", _downsample = PyramidBlockOptions.Residual(place, _filter));
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
