namespace Diffusion.Core.Models;

/// <summary>
/// The options of the block of k-diffusion's image networks: residual blocks with group norms that the embedding scales and shifts, a
/// fixed filter that changes the resolution, and one skip connection from each level. All levels of a network must use this block.
/// </summary>
/// <remarks>
/// Source: Karras et al. 2022, as implemented in Crowson's k-diffusion. The widths must be multiples of <see cref="GroupSize"/>. If
/// there are several levels, the sides of the images must be divisible by two at every level but the last, and at least two pixels at
/// every level. State: <c>resnets</c>.
/// </remarks>
public sealed record KBlockOptions : IUNetBlockOptions
{
    /// <summary>The number of channels in each group of the group norms. The default is 32.</summary>
    public int GroupSize { get; init; } = 32;

    /// <inheritdoc/>
    public UNetBlock Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        var parts = new UNetBlockParts(place) { Skips = UNetSkips.Last };
        return place.Direction switch
        {
            UNetDirection.Down => Down(parts),
            UNetDirection.Up => Up(parts),
            _ => throw new ArgumentException(
                $"{nameof(KBlockOptions)} must be used on the down and up paths, got the middle block.", nameof(place)),
        };
    }

    /// <inheritdoc/>
    public long Halve(long side) => side / 2;

    private EncoderBlock Down(UNetBlockParts parts)
    {
        var place = parts.Place;
        for (var layer = 0; layer < place.Layers; layer++)
            parts.Add(Residual(place, layer == 0 ? place.Inputs : place.Width, place.Width));
        parts.RegisterLayers();
        if (place.Resamples)
            Resample(parts, "downsamplers", new FirFilter(mirror: true));
        return new EncoderBlock(parts);
    }

    private DecoderBlock Up(UNetBlockParts parts)
    {
        var place = parts.Place;
        for (var layer = 0; layer < place.Layers; layer++)
        {
            var inputs = layer == 0 ? Models.Layers.Size(2, place.Width) : place.Width;
            parts.Add(Residual(place, inputs, layer == place.Layers - 1 ? place.WidthAbove : place.Width));
        }

        parts.RegisterLayers();
        if (place.Resamples)
            Resample(parts, "upsamplers", new FirFilter(mirror: true) { Raises = true });
        return new DecoderBlock(parts);
    }

    private static void Resample(UNetBlockParts parts, string name, FirFilter filter)
    {
        parts.ResampleBy(name, filter);
        var resample = parts.Resample!;
        parts.Resample = (x, context) =>
        {
            if (x.shape.AsSpan(2).ContainsAnyExceptInRange(2, long.MaxValue))
                throw new ArgumentException(
                    $"Images must have at least 2 pixels along each side at every level, got shape {Guard.Format(x.shape)}.", nameof(x));
            var output = resample(x, context);
            if (filter.Raises)
                context.RequireNextSize(output);
            return output;
        };
    }

    /// <summary>Creates a residual block with group norms that the embedding scales and shifts.</summary>
    private AdaptiveResidualBlock Residual(UNetPlace place, int inputs, int outputs)
    {
        foreach (var channels in (ReadOnlySpan<int>)[inputs, outputs])
        {
            if (channels % Guard.Positive(GroupSize) != 0)
                throw new ArgumentException(Invariant($"{nameof(GroupSize)} must divide the channels, got {GroupSize} for {channels}."));
        }

        return new AdaptiveResidualBlock(place.Residual(inputs, outputs) with
        {
            Groups = inputs / GroupSize,
            OutputGroups = outputs / GroupSize,
        });
    }
}
