using System.Globalization;

namespace Diffusion.Core.Models;

/// <summary>The values that clean data can have. Samplers clip a predicted x_0 to them.</summary>
public sealed record DataRange
{
    /// <summary>A range of values.</summary>
    /// <param name="min">The least value, or negative infinity.</param>
    /// <param name="max">The greatest value, or positive infinity.</param>
    /// <exception cref="ArgumentException"><paramref name="min"/> is not less than <paramref name="max"/>.</exception>
    public DataRange(double min, double max)
    {
        if (!(min < max))
            throw new ArgumentException($"A data range must have a least value below its greatest, got {min} and {max}.", nameof(min));
        (Min, Max) = (min, max);
    }

    /// <summary>[-1, 1], the range of images.</summary>
    public static DataRange Images { get; } = new(-1.0, 1.0);

    /// <summary>All numbers, for points and latents. Nothing is clipped.</summary>
    public static DataRange Unbounded { get; } = new(double.NegativeInfinity, double.PositiveInfinity);

    /// <summary>The least value.</summary>
    public double Min { get; }

    /// <summary>The greatest value.</summary>
    public double Max { get; }

    /// <summary>True if there is a value that data cannot have.</summary>
    public bool IsBounded => double.IsFinite(Min) || double.IsFinite(Max);

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"[{Min}, {Max}]");
}
