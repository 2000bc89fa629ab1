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
    /// Writes a chart. The file appears whole or not at all; its folder is made where it is missing. Several lines have their names
    /// beside the picture, and are dashed once the colours are used up.
    /// </summary>
    /// <param name="path">The file, replaced where it exists.</param>
    /// <param name="series">At least one line.</param>
    /// <param name="title">Above the chart.</param>
    /// <param name="xLabel">Below the horizontal axis.</param>
    /// <param name="yLabel">Beside the vertical axis.</param>
    /// <param name="logScale">Whether the vertical axis is logarithmic; values of 0 and less are then gaps.</param>
    /// <param name="logX">Whether the horizontal axis is; points at 0 and less are then gaps.</param>
    /// <exception cref="ArgumentException">There is no value to show, or a text holds characters that XML forbids.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SaveSvg(
        string path,
        IReadOnlyList<LineSeries> series,
        string title = "",
        string xLabel = "",
        string yLabel = "",
        bool logScale = false,
        bool logX = false)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(series);
        if (!CanShow(series, logScale, logX))
            throw new ArgumentException(
                $"A chart needs at least one {(logScale || logX ? "positive" : "finite")} value, got none.", nameof(series));
        using var memory = new MemoryStream();
        var settings = new XmlWriterSettings { Indent = true, NewLineChars = "\n", Encoding = new UTF8Encoding(false) };
        using (var svg = XmlWriter.Create(memory, settings))
            Write(svg, series, title, xLabel, yLabel, logScale, logX);

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
