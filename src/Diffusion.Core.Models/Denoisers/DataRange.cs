using System.Globalization;

namespace Diffusion.Core.Models;

/// <summary>The range of the values of clean data. Samplers clip the predicted x_0 to it.</summary>
public sealed record DataRange
{
    /// <summary>Creates a range from its minimum and maximum.</summary>
    /// <param name="min">The minimum, or negative infinity.</param>
    /// <param name="max">The maximum, or positive infinity.</param>
    /// <exception cref="ArgumentException"><paramref name="min"/> is not less than <paramref name="max"/>.</exception>
    public DataRange(double min, double max)
    {
        if (!(min < max))
            throw new ArgumentException(
                Invariant($"The minimum of a data range must be less than the maximum, got {min} and {max}."), nameof(min));
        (Min, Max) = (min, max);
    }

    /// <summary>[-1, 1], the range of images.</summary>
    public static DataRange Images { get; } = new(-1.0, 1.0);

    /// <summary>The range of all numbers, for points and latents. Samplers do not clip.</summary>
    public static DataRange Unbounded { get; } = new(double.NegativeInfinity, double.PositiveInfinity);

    /// <summary>The minimum.</summary>
    public double Min { get; }

    /// <summary>The maximum.</summary>
    public double Max { get; }

    /// <summary>Whether the minimum or the maximum is finite.</summary>
    public bool IsBounded => double.IsFinite(Min) || double.IsFinite(Max);

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"[{Min}, {Max}]");
}
