using System.Globalization;
using System.Text;
using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>
/// Curves, as of a loss over training steps, as an SVG picture that needs nothing else: no fonts, styles or scripts, a transparent
/// ground, and colours that can be seen on white and on black. The same values give the same bytes.
/// </summary>
public static class LineChart
{
    private const double Width = 800;
    private const double Height = 420;
    private const double Left = 76;
    private const double Right = 20;
    private const double Top = 44;
    private const double Bottom = 56;
    private const string Ink = "#7d8590";
    private const string Namespace = "http://www.w3.org/2000/svg";
    private static readonly string[] Colours = ["#3d85c6", "#d9772b", "#2f9e74", "#b5579f", "#8a79d6", "#a18a2a"];

    private static double PlotWidth => Width - Left - Right;

    private static double PlotHeight => Height - Top - Bottom;

    /// <summary>Writes a chart. The file appears whole or not at all; its folder is made where it is missing.</summary>
    /// <param name="path">The file, replaced where it exists.</param>
    /// <param name="series">At least one line.</param>
    /// <param name="title">Above the chart.</param>
    /// <param name="xLabel">Below the horizontal axis.</param>
    /// <param name="yLabel">Beside the vertical axis.</param>
    /// <param name="logScale">Whether the vertical axis is logarithmic; values of 0 and less are then gaps.</param>
    /// <exception cref="ArgumentException">There is no value to show, or a text holds characters that XML forbids.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SaveSvg(
        string path,
        IReadOnlyList<LineSeries> series,
        string title = "",
        string xLabel = "",
        string yLabel = "",
        bool logScale = false)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(series);
        var shown = series
            .SelectMany(line => line.X.Zip(line.Y))
            .Where(point => ChartAxis.Shows(point.Second, logScale))
            .ToArray();
        if (shown.Length == 0)
            throw new ArgumentException(
                $"A chart needs at least one {(logScale ? "positive" : "finite")} value, got none.", nameof(series));
        var x = new ChartAxis(shown.Min(point => point.First), shown.Max(point => point.First), log: false, room: 0.0);
        var y = new ChartAxis(shown.Min(point => point.Second), shown.Max(point => point.Second), logScale, room: 0.04);

        using var memory = new MemoryStream();
        var settings = new XmlWriterSettings { Indent = true, NewLineChars = "\n", Encoding = new UTF8Encoding(false) };
        using (var svg = XmlWriter.Create(memory, settings))
        {
            svg.WriteStartElement("svg", Namespace);
            Attributes(
                svg, ("width", Format(Width)), ("height", Format(Height)), ("viewBox", $"0 0 {Format(Width)} {Format(Height)}"),
                ("font-family", "sans-serif"), ("font-size", "13"), ("fill", Ink));
            Axes(svg, x, y);
            for (var i = 0; i < series.Count; i++)
                Curve(svg, series[i], Colours[i % Colours.Length], x, y, logScale);
            Text(svg, title, Left + (PlotWidth / 2), Top - 18, "middle", ("font-size", "16"));
            Text(svg, xLabel, Left + (PlotWidth / 2), Height - 12, "middle");
            Text(svg, yLabel, -(Top + (PlotHeight / 2)), 18, "middle", ("transform", "rotate(-90)"));
            if (series.Count > 1)
                Legend(svg, series);
            svg.WriteEndElement();
        }

        AtomicFile.Write(path, memory.WriteTo);
    }

    private static void Axes(XmlWriter svg, ChartAxis x, ChartAxis y)
    {
        foreach (var (value, label) in x.Ticks(8))
        {
            var at = Left + (x.Place(value) * PlotWidth);
            Line(svg, at, Top, at, Top + PlotHeight, "0.2");
            Text(svg, label, at, Top + PlotHeight + 18, "middle");
        }

        foreach (var (value, label) in y.Ticks(6))
        {
            var at = Top + ((1.0 - y.Place(value)) * PlotHeight);
            Line(svg, Left, at, Left + PlotWidth, at, "0.2");
            Text(svg, label, Left - 8, at + 4.5, "end");
        }

        Line(svg, Left, Top, Left, Top + PlotHeight, "1");
        Line(svg, Left, Top + PlotHeight, Left + PlotWidth, Top + PlotHeight, "1");
    }

    private static void Curve(XmlWriter svg, LineSeries line, string colour, ChartAxis x, ChartAxis y, bool log)
    {
        var smooth = line.Smoothing > 0.0;
        Path(svg, line.X, line.Y, colour, smooth ? "1" : "2", smooth ? "0.35" : "1", x, y, log);
        if (smooth)
            Path(svg, line.X, line.Smooth(), colour, "2.5", "1", x, y, log);
    }

    /// <summary>
    /// Of the points that share one column of the picture, the lowest and the highest: the same line from far fewer numbers.
    /// </summary>
    private static void Path(
        XmlWriter svg,
        IReadOnlyList<double> xs,
        IReadOnlyList<double> ys,
        string colour,
        string width,
        string opacity,
        ChartAxis x,
        ChartAxis y,
        bool log)
    {
        var data = new StringBuilder();
        var connected = false;
        for (var i = 0; i < xs.Count;)
        {
            if (!ChartAxis.Shows(ys[i], log))
            {
                (connected, i) = (false, i + 1);
                continue;
            }

            var column = Math.Floor(x.Place(xs[i]) * PlotWidth);
            var (low, high) = (i, i);
            for (; i < xs.Count && Math.Floor(x.Place(xs[i]) * PlotWidth) == column && ChartAxis.Shows(ys[i], log); i++)
            {
                low = ys[i] < ys[low] ? i : low;
                high = ys[i] > ys[high] ? i : high;
            }

            Point(Math.Min(low, high));
            if (low != high)
                Point(Math.Max(low, high));
        }

        svg.WriteStartElement("path", Namespace);
        Attributes(
            svg, ("d", data.ToString()), ("fill", "none"), ("stroke", colour), ("stroke-width", width), ("stroke-opacity", opacity),
            ("stroke-linejoin", "round"), ("stroke-linecap", "round"));
        svg.WriteEndElement();

        void Point(int i)
        {
            // A point between two gaps is a line of no length, which the round ends make a dot.
            data.Append(connected ? 'L' : 'M')
                .Append(Format(Left + (x.Place(xs[i]) * PlotWidth))).Append(' ')
                .Append(Format(Top + ((1.0 - y.Place(ys[i])) * PlotHeight)));
            if (!connected)
                data.Append("h0");
            connected = true;
        }
    }

    private static void Legend(XmlWriter svg, IReadOnlyList<LineSeries> series)
    {
        for (var i = 0; i < series.Count; i++)
        {
            var (right, at) = (Left + PlotWidth - 8, Top + 14 + (18 * i));
            Text(svg, series[i].Name, right - 26, at + 4.5, "end");
            Line(svg, right - 20, at, right, at, "1", Colours[i % Colours.Length], "3");
        }
    }

    private static void Line(
        XmlWriter svg, double x1, double y1, double x2, double y2, string opacity, string colour = Ink, string width = "1")
    {
        svg.WriteStartElement("line", Namespace);
        Attributes(
            svg, ("x1", Format(x1)), ("y1", Format(y1)), ("x2", Format(x2)), ("y2", Format(y2)),
            ("stroke", colour), ("stroke-width", width), ("stroke-opacity", opacity));
        svg.WriteEndElement();
    }

    private static void Text(XmlWriter svg, string text, double x, double y, string anchor, params ReadOnlySpan<(string, string)> more)
    {
        if (text.Length == 0)
            return;
        svg.WriteStartElement("text", Namespace);
        Attributes(svg, ("x", Format(x)), ("y", Format(y)), ("text-anchor", anchor));
        Attributes(svg, more);
        svg.WriteString(text);
        svg.WriteEndElement();
    }

    private static void Attributes(XmlWriter svg, params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        foreach (var (name, value) in attributes)
            svg.WriteAttributeString(name, value);
    }

    private static string Format(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
