using System.Text;
using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>
/// Writes line charts, such as a loss over training steps, as SVG images that need no fonts, styles or scripts. The background is
/// transparent, and the colours are visible on white and on black. The same values always give the same bytes.
/// </summary>
public static class LineChart
{
    /// <summary>
    /// Writes a chart. The file is written completely or not at all, and its folder is created if it does not exist. A chart of several
    /// lines has a legend. From the seventh line on, the colours are reused and lines are dashed.
    /// </summary>
    /// <param name="path">The path of the file. An existing file is replaced.</param>
    /// <param name="series">The lines, at least one.</param>
    /// <param name="options">The title, the labels and the scales. The default is a new <see cref="LineChartOptions"/>.</param>
    /// <exception cref="ArgumentException">There is no value to show, or a text contains characters that are not valid in XML.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SaveSvg(string path, IReadOnlyList<LineSeries> series, LineChartOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(series);
        options ??= new LineChartOptions();
        var (logScale, logX) = (options.LogScale, options.LogX);
        if (!CanShow(series, logScale, logX))
            throw new ArgumentException(
                Invariant($"A chart needs at least one {(logScale || logX ? "positive" : "finite")} value, got none."), nameof(series));
        using var memory = new MemoryStream();
        var settings = new XmlWriterSettings { Indent = true, NewLineChars = "\n", Encoding = new UTF8Encoding(false) };
        using (var svg = XmlWriter.Create(memory, settings))
            Write(svg, series, options.Title, options.XLabel, options.YLabel, logScale, logX);

        AtomicFile.Write(path, memory.WriteTo);
    }

    /// <summary>Whether the axes can show any of the values.</summary>
    internal static bool CanShow(IReadOnlyList<LineSeries> series, bool logScale, bool logX = false) => Shown(series, logScale, logX).Any();

    /// <summary>Writes the chart as an element of a page.</summary>
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
    /// Whether the vertical axis is logarithmic. Lines then have gaps at values of 0 or less. The default is <see langword="false"/>.
    /// </summary>
    public bool LogScale { get; init; }

    /// <summary>
    /// Whether the horizontal axis is logarithmic. Lines then have gaps at points with x of 0 or less. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool LogX { get; init; }
}

/// <summary>A line of a <see cref="LineChart"/>.</summary>
public sealed class LineSeries
{
    /// <summary>Creates a line through points.</summary>
    /// <param name="name">The name, which the legend shows if there are several lines.</param>
    /// <param name="x">The x-coordinates, finite and non-decreasing.</param>
    /// <param name="y">The y-coordinates, one for each x. The line has a gap at a value that is not finite.</param>
    /// <param name="smoothing">
    /// The decay of an exponential moving average, in [0, 1). If it is greater than 0, the values are drawn semi-transparent, and their
    /// average is drawn over them. The default is 0: no average.
    /// </param>
    /// <exception cref="ArgumentException">The lengths differ, x is not finite or decreases, or the smoothing is out of range.</exception>
    public LineSeries(string name, IReadOnlyList<double> x, IReadOnlyList<double> y, double smoothing = 0.0)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        if (x.Count != y.Count)
            throw new ArgumentException($"A line needs one y for each of {x.Count} x, got {y.Count}.", nameof(y));
        if (!(smoothing >= 0.0 && smoothing < 1.0))
            throw new ArgumentOutOfRangeException(
                nameof(smoothing), smoothing, Invariant($"The smoothing must be in [0, 1), got {smoothing}."));
        for (var i = 0; i < x.Count; i++)
        {
            if (!double.IsFinite(x[i]) || (i > 0 && x[i] < x[i - 1]))
                throw new ArgumentException(Invariant($"x must be finite and must not descend, got {x[i]} at position {i}."), nameof(x));
        }

        (Name, X, Y, Smoothing) = (name, [.. x], [.. y], smoothing);
    }

    /// <summary>The name, which the legend shows if there are several lines.</summary>
    public string Name { get; }

    /// <summary>The x-coordinates, finite and non-decreasing.</summary>
    public IReadOnlyList<double> X { get; }

    /// <summary>The y-coordinates, one for each x.</summary>
    public IReadOnlyList<double> Y { get; }

    /// <summary>The decay of the exponential moving average, or 0 for none.</summary>
    public double Smoothing { get; }

    /// <summary>Whether each point has a marker. This is useful for lines of few points. The default is <see langword="false"/>.</summary>
    public bool HasMarkers { get; init; }

    /// <summary>
    /// Computes the exponential moving average m_i = s m_{i-1} + (1 - s) y_i, which starts at 0 and is divided by 1 - s^n after n values to
    /// correct its bias. Values that are not finite are skipped.
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
