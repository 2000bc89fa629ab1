using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A level of k-diffusion's networks on the way down. State: <c>resnets</c>.</summary>
public sealed class FilterDownBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly FirFilter? _downsample;

    /// <summary>A level; all but the last halve the resolution at their end.</summary>
    public FilterDownBlock(FilterBlockOptions options, UNetPlace place)
        : base(nameof(FilterDownBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        for (var layer = 0; layer < place.Layers; layer++)
            _residuals.Add(options.Residual(place, layer == 0 ? place.Inputs : place.Width, place.Width));
        Register("resnets", _residuals);
        if (place.Resamples)
            Register("downsamplers", [_downsample = new FirFilter(mirror: true)]);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        var hidden = x;
        for (var layer = 0; layer < _residuals.Count; layer++)
        {
            var before = hidden;
            hidden = context.Call(_residuals[layer], before);
            if (layer > 0)
                before.Dispose();
        }

        context.Skips.Push(hidden);
        if (_downsample is null)
            return hidden;
        if (hidden.shape.AsSpan(2).ContainsAnyExceptInRange(2, long.MaxValue))
            throw new ArgumentException($"The image is too small for the levels: {Guard.Format(hidden.shape)} at one.", nameof(x));
        return context.Call(_downsample, hidden);
    }
}
