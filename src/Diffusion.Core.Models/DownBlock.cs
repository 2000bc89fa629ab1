using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>One level of a U-Net on the way down. State: <c>resnets</c>, <c>attentions</c>, <c>downsamplers</c>.</summary>
public sealed class DownBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly List<IUNetLayer> _attentions = [];
    private readonly IUNetLayer? _downsample;

    /// <summary>A level; all but the last halve the resolution at their end.</summary>
    public DownBlock(UNetBlockOptions options, UNetPlace place)
        : base(nameof(DownBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        for (var layer = 0; layer < place.Layers; layer++)
        {
            _residuals.Add(new ResidualBlock(place.Residual(layer == 0 ? place.Inputs : place.Width, place.Width)));
            if (options.Attention is not null)
                _attentions.Add(options.Attention.Build(place));
        }

        Register("resnets", _residuals);
        Register("attentions", _attentions);
        if (place.Resamples)
            Register("downsamplers", [_downsample = options.Resampling.Down(place)]);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        for (var layer = 0; layer < _residuals.Count; layer++)
            context.Skips.Push(x = Paired(context, x, _residuals[layer], _attentions.ElementAtOrDefault(layer)));
        if (_downsample is not null)
            context.Skips.Push(x = context.Call(_downsample, x));
        return x;
    }
}
