namespace Diffusion.Core.Data;

/// <summary>One line of a <see cref="LineChart"/>.</summary>
public sealed class LineSeries
{
    /// <summary>A line through points.</summary>
    /// <param name="name">Shown in the legend where there are several lines.</param>
    /// <param name="x">Finite, not descending.</param>
    /// <param name="y">As many; where a value is not finite, the line has a gap.</param>
    /// <param name="smoothing">
    /// The weight of the past in a running mean, in [0, 1): above 0, the values are drawn light and their mean bold over them.
    /// </param>
    /// <exception cref="ArgumentException">The lengths differ, x is not finite or descends, or the smoothing is out of range.</exception>
    public LineSeries(string name, IReadOnlyList<double> x, IReadOnlyList<double> y, double smoothing = 0.0)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        if (x.Count != y.Count)
            throw new ArgumentException($"A line needs one y for each of {x.Count} x, got {y.Count}.", nameof(y));
        if (!(smoothing >= 0.0 && smoothing < 1.0))
            throw new ArgumentOutOfRangeException(nameof(smoothing), smoothing, $"The smoothing must lie in [0, 1), got {smoothing}.");
        for (var i = 0; i < x.Count; i++)
        {
            if (!double.IsFinite(x[i]) || (i > 0 && x[i] < x[i - 1]))
                throw new ArgumentException($"x must be finite and must not descend, got {x[i]} at position {i}.", nameof(x));
        }

        (Name, X, Y, Smoothing) = (name, [.. x], [.. y], smoothing);
    }

    /// <summary>Shown in the legend where there are several lines.</summary>
    public string Name { get; }

    /// <summary>Finite, not descending.</summary>
    public IReadOnlyList<double> X { get; }

    /// <summary>As many values as <see cref="X"/>.</summary>
    public IReadOnlyList<double> Y { get; }

    /// <summary>The weight of the past in the running mean, or 0 for none.</summary>
    public double Smoothing { get; }

    /// <summary>True for a dot at each point, where points are few and their places matter.</summary>
    public bool HasMarkers { get; init; }

    /// <summary>
    /// The running mean m_i = s m_{i-1} + (1 - s) y_i, started at 0 and divided by 1 - s^n so that its start is not drawn to 0; values
    /// that are not finite are left out of it.
    /// </summary>
    public double[] Smooth()
    {
        var (mean, weight) = (0.0, 0.0);
        var result = new double[Y.Count];
        for (var i = 0; i < result.Length; i++)
        {
            if (double.IsFinite(Y[i]))
            {
                mean = (Smoothing * mean) + ((1.0 - Smoothing) * Y[i]);
                weight = (Smoothing * weight) + (1.0 - Smoothing);
            }

            result[i] = weight > 0.0 ? mean / weight : double.NaN;
        }

        return result;
    }
}
