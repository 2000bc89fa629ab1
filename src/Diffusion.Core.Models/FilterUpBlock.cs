using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A level of k-diffusion's networks on the way up. State: <c>resnets</c>.</summary>
public sealed class FilterUpBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly FirFilter? _upsample;

    /// <summary>A level; all but the first raise the resolution at their end.</summary>
    public FilterUpBlock(FilterBlockOptions options, UNetPlace place)
        : base(nameof(FilterUpBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(place);
        for (var layer = 0; layer < place.Layers; layer++)
        {
            var inputs = layer == 0 ? checked(2 * place.Width) : place.Width;
            _residuals.Add(options.Residual(place, inputs, layer == place.Layers - 1 ? place.WidthAbove : place.Width));
        }

        Register("resnets", _residuals);
        if (place.Resamples)
            Register("upsamplers", [_upsample = new FirFilter(mirror: true) { Raises = true }]);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, UNetContext context)
    {
        using var scope = NewDisposeScope();
        x = Join(x, context);
        foreach (var residual in _residuals)
            x = Layers.Replace(x, context.Call(residual, x));
        if (_upsample is null)
            return x.MoveToOuterDisposeScope();
        if (x.shape.AsSpan(2).ContainsAnyExceptInRange(2, long.MaxValue))
            throw new ArgumentException($"The image is too small for the levels: {Guard.Format(x.shape)} at one.", nameof(x));
        x = Layers.Replace(x, context.Call(_upsample, x));
        if (!x.shape.AsSpan(2).SequenceEqual(context.NextSize()))
            throw new ArgumentException(
                $"This network needs sides that are divisible by two at every level, got {Guard.Format(context.NextSize())} at one.",
                nameof(x));
        return x.MoveToOuterDisposeScope();
    }
}
