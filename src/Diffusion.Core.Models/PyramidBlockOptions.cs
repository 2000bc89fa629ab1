namespace Diffusion.Core.Models;

/// <summary>
/// The block of score-SDE's NCSN++: the resolution changes through a fixed filter, and an image pyramid runs beside the features, read on
/// the way down and summed to the answer on the way up. All levels of a network must have it.
/// </summary>
/// <remarks>
/// Source: Song et al. 2021, appendix H.1. The groups of norms follow from the channels, a quarter of them and up to 32, whatever the
/// network says. The sides of an image must be divisible by two at every level.
/// </remarks>
public sealed record PyramidBlockOptions : IUNetBlockOptions
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
            UNetDirection.Down => new PyramidDownBlock(this, here),
            UNetDirection.Up => new PyramidUpBlock(this, here),
            _ => throw new ArgumentException($"{nameof(PyramidBlockOptions)} describe levels, not the middle.", nameof(place)),
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
