using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The lowest resolution of a U-Net: residual block, attention, residual block. State: <c>resnets</c>, <c>attentions</c>.
/// </summary>
internal sealed class MiddleBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly List<IUNetLayer> _attentions = [];

    /// <summary>The middle of a network. Scale and activation are those of the place.</summary>
    public MiddleBlock(UNetBlockOptions options, UNetPlace place)
        : base(nameof(MiddleBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        for (var layer = 0; layer <= options.MiddleLayers; layer++)
        {
            _residuals.Add(new ResidualBlock(place.Residual(layer == 0 ? place.Inputs : place.Width, place.Width)));
            if (options.Attention is not null && layer < options.MiddleLayers)
                _attentions.Add(options.Attention.Build(place));
        }

        Register("attentions", _attentions);
        Register("resnets", _residuals);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        var hidden = x;
        for (var layer = 0; layer < _residuals.Count; layer++)
        {
            var before = hidden;
            hidden = Paired(context, before, _residuals[layer], _attentions.ElementAtOrDefault(layer));
            if (layer > 0)
                before.Dispose();
        }

        return hidden;
    }
}

/// <summary>The middle of a <see cref="UNet"/>, as an alternative to <see cref="UNetBlockOptions"/>.</summary>
public static class UNetMiddle
{
    /// <summary>Nothing: the lowest level goes straight to the way up.</summary>
    public static IUNetBlockOptions None { get; } = new Nothing();

    private sealed record Nothing : IUNetBlockOptions
    {
        public UNetBlock Build(UNetPlace place) => new Empty();
    }

    private sealed class Empty() : UNetBlock(nameof(Empty))
    {
        public override Tensor Forward(Tensor x, UNetContext context) => x.alias();
    }
}
