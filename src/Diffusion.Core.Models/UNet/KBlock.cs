using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The block of k-diffusion's image networks: norms that the embedding scales and shifts, resolutions that change through a fixed filter,
/// and a single image that crosses over from each level. All levels of a network must have it.
/// </summary>
/// <remarks>
/// Source: Karras et al. 2022 in the network of Crowson's k-diffusion. Widths must be multiples of <see cref="GroupSize"/>. The sides of an
/// image must be divisible by two, and at least two pixels, at every level but the last.
/// </remarks>
public sealed record KBlockOptions : IUNetBlockOptions
{
    /// <summary>Channels of each group of the norms. 32 by default.</summary>
    public int GroupSize { get; init; } = 32;

    /// <inheritdoc/>
    public UNetBlock Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        return place.Direction switch
        {
            UNetDirection.Down => new KDownBlock(this, place),
            UNetDirection.Up => new KUpBlock(this, place),
            _ => throw new ArgumentException($"{nameof(KBlockOptions)} describe levels, not the middle.", nameof(place)),
        };
    }

    /// <inheritdoc/>
    public long Halve(long side) => side / 2;

    /// <summary>A residual block whose norms depend on the embedding.</summary>
    internal AdaptiveResidualBlock Residual(UNetPlace place, int inputs, int outputs)
    {
        foreach (var channels in (ReadOnlySpan<int>)[inputs, outputs])
        {
            if (channels % Guard.Positive(GroupSize) != 0)
                throw new ArgumentException($"{nameof(GroupSize)} must divide the channels, got {GroupSize} for {channels}.");
        }

        return new AdaptiveResidualBlock(place.Residual(inputs, outputs) with
        {
            Groups = inputs / GroupSize,
            OutputGroups = outputs / GroupSize,
        });
    }
}

/// <summary>A level of k-diffusion's networks on the way down. State: <c>resnets</c>.</summary>
internal sealed class KDownBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly FirFilter? _downsample;

    /// <summary>A level; all but the last halve the resolution at their end.</summary>
    public KDownBlock(KBlockOptions options, UNetPlace place)
        : base(nameof(KDownBlock))
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

/// <summary>A level of k-diffusion's networks on the way up. State: <c>resnets</c>.</summary>
internal sealed class KUpBlock : UNetBlock
{
    private readonly List<IUNetLayer> _residuals = [];
    private readonly FirFilter? _upsample;

    /// <summary>A level; all but the first raise the resolution at their end.</summary>
    public KUpBlock(KBlockOptions options, UNetPlace place)
        : base(nameof(KUpBlock))
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
