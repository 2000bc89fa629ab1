namespace Diffusion.Core.Models;

/// <summary>
/// The block of k-diffusion's image networks: norms that the embedding scales and shifts, resolutions that change through a fixed filter,
/// and a single image that crosses over from each level. All levels of a network must have it.
/// </summary>
/// <remarks>
/// Source: Karras et al. 2022 in the network of Crowson's k-diffusion. Widths must be multiples of <see cref="GroupSize"/>. The sides of an
/// image must be divisible by two, and at least two pixels, at every level but the last.
/// </remarks>
public sealed record FilterBlockOptions : IUNetBlockOptions
{
    /// <summary>Channels of each group of the norms. 32 by default.</summary>
    public int GroupSize { get; init; } = 32;

    /// <inheritdoc/>
    public UNetBlock Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        return place.Direction switch
        {
            UNetDirection.Down => new FilterDownBlock(this, place),
            UNetDirection.Up => new FilterUpBlock(this, place),
            _ => throw new ArgumentException($"{nameof(FilterBlockOptions)} describe levels, not the middle.", nameof(place)),
        };
    }

    /// <inheritdoc/>
    public long Halve(long side) => side / 2;

    /// <summary>A residual block whose norms are told of the embedding.</summary>
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
