using System.Text;
using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>
/// Curves, as of a loss over training steps, as an SVG picture that needs nothing else: no fonts, styles or scripts, a transparent
/// ground, and colours that can be seen on white and on black. The same values give the same bytes.
/// </summary>
public static class LineChart
{
    /// <summary>
    /// Writes a chart. The file appears whole or not at all; its folder is created where it is missing. Several lines have their names
    /// at the side of the picture, and are dashed once all colours are used.
    /// </summary>
    /// <param name="path">The file, replaced where it exists.</param>
    /// <param name="series">At least one line.</param>
    /// <param name="options">The title, the labels and the scales; <see langword="null"/> for the defaults.</param>
    /// <exception cref="ArgumentException">There is no value to show, or a text holds characters that XML forbids.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SaveSvg(string path, IReadOnlyList<LineSeries> series, LineChartOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(series);
        options ??= new LineChartOptions();
        var (logScale, logX) = (options.LogScale, options.LogX);
        if (!CanShow(series, logScale, logX))
            throw new ArgumentException(
                $"A chart needs at least one {(logScale || logX ? "positive" : "finite")} value, got none.", nameof(series));
        using var memory = new MemoryStream();
        var settings = new XmlWriterSettings { Indent = true, NewLineChars = "\n", Encoding = new UTF8Encoding(false) };
        using (var svg = XmlWriter.Create(memory, settings))
            Write(svg, series, options.Title, options.XLabel, options.YLabel, logScale, logX);

        AtomicFile.Write(path, memory.WriteTo);
    }

    /// <summary>Whether any value has a place on such axes.</summary>
    internal static bool CanShow(IReadOnlyList<LineSeries> series, bool logScale, bool logX = false) => Shown(series, logScale, logX).Any();

    /// <summary>Writes the picture as an element of a page.</summary>
    internal static void Write(
        XmlWriter svg, IReadOnlyList<LineSeries> series, string title, string xLabel, string yLabel, bool logScale, bool logX = false)
    {
        var shown = Shown(series, logScale, logX).ToArray();
        var x = new ChartAxis(shown.Min(point => point.X), shown.Max(point => point.X), logX, room: 0.0);
        var y = new ChartAxis(shown.Min(point => point.Y), shown.Max(point => point.Y), logScale, room: 0.04);
        new ChartPainter(svg, x, y).Paint(series, title, xLabel, yLabel);
    }

    private static IEnumerable<(double X, double Y)> Shown(IReadOnlyList<LineSeries> series, bool logScale, bool logX)
        => series
            .SelectMany(line => line.X.Zip(line.Y))
            .Where(point => ChartAxis.Shows(point.First, logX) && ChartAxis.Shows(point.Second, logScale));
}

/// <summary>The texts and scales of a <see cref="LineChart"/>.</summary>
public sealed record LineChartOptions
{
    /// <summary>The text above the chart. The default is empty.</summary>
    public string Title { get; init; } = "";

    /// <summary>The label of the horizontal axis. The default is empty.</summary>
    public string XLabel { get; init; } = "";

    /// <summary>The label of the vertical axis. The default is empty.</summary>
    public string YLabel { get; init; } = "";

    /// <summary>
    /// Whether the vertical axis is logarithmic; values of 0 and less are then gaps. The default is <see langword="false"/>.
    /// </summary>
    public bool LogScale { get; init; }

    /// <summary>
    /// Whether the horizontal axis is logarithmic; points at 0 and less are then gaps. The default is <see langword="false"/>.
    /// </summary>
    public bool LogX { get; init; }
}

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
