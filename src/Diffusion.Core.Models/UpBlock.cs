using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>One level of a U-Net on the way up. State: <c>resnets</c>, <c>attentions</c>, <c>upsamplers</c>.</summary>
public sealed class UpBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly List<IUNetLayer> _attentions = [];
    private readonly IUNetLayer? _upsample;

    /// <summary>A level; all but the first raise the resolution at their end.</summary>
    public UpBlock(UNetBlockOptions options, UNetPlace place)
        : base(nameof(UpBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        for (var layer = 0; layer <= place.Layers; layer++)
        {
            _residuals.Add(new ResidualBlock(place.Residual(JoinedWidth(place, layer), place.Width)));
            if (options.Attention is not null)
                _attentions.Add(options.Attention.Build(place));
        }

        Register("resnets", _residuals);
        Register("attentions", _attentions);
        if (place.Resamples)
            Register("upsamplers", [_upsample = options.Resampling.Up(place)]);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        var hidden = x;
        for (var layer = 0; layer < _residuals.Count; layer++)
        {
            using var joined = Join(hidden, context);
            if (layer > 0)
                hidden.Dispose();
            hidden = Paired(context, joined, _residuals[layer], _attentions.ElementAtOrDefault(layer));
        }

        if (_upsample is null)
            return hidden;
        using var small = hidden;
        return context.Call(_upsample, small);
    }
}
