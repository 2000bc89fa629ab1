namespace Diffusion.Core.Models;

/// <summary>Where the blocks of a U-Net stand.</summary>
internal static class UNetPlaces
{
    /// <summary>The levels on the way down, in the order in which they are called.</summary>
    public static IEnumerable<UNetPlace> Down(UNetOptions options)
    {
        var levels = options.ToLevels();
        return levels.Select((level, k) => new UNetPlace
        {
            Network = options,
            Direction = UNetDirection.Down,
            Level = k,
            Inputs = levels[Math.Max(k - 1, 0)].Width,
            Width = level.Width,
            WidthAbove = levels[Math.Max(k - 1, 0)].Width,
            Layers = level.Layers,
            Resamples = k < levels.Count - 1,
        });
    }

    /// <summary>The middle.</summary>
    public static UNetPlace Middle(UNetOptions options) => Down(options).Last() is var last
        ? last with { Direction = UNetDirection.Middle, Inputs = last.Width, Resamples = false }
        : throw new InvalidOperationException();

    /// <summary>The levels on the way up, in the order in which they are called.</summary>
    public static IEnumerable<UNetPlace> Up(UNetOptions options)
    {
        var levels = options.ToLevels();
        return Down(options).Reverse().Select(place => place with
        {
            Direction = UNetDirection.Up,
            Inputs = levels[Math.Min(place.Level + 1, levels.Count - 1)].Width,
            Resamples = place.Level > 0,
        });
    }
}
