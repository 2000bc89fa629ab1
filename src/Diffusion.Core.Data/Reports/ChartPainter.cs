using System.Globalization;
using System.Text;
using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>Draws a <see cref="LineChart"/> with two axes.</summary>
internal sealed class ChartPainter(XmlWriter svg, ChartAxis x, ChartAxis y)
{
    private const double Height = 420;
    private const double Left = 76;
    private const double Right = 20;
    private const double Top = 44;
    private const double Bottom = 56;
    private const double PlotWidth = 704;
    private const double PlotHeight = Height - Top - Bottom;

    // An upper estimate of the width of a letter in the legend. The text cannot be measured without fonts.
    private const double LetterWidth = 7.4;
    private const double KeyWidth = 34;
    private const string Ink = "#7d8590";
    private const string Namespace = "http://www.w3.org/2000/svg";
    private static readonly string[] _colours = ["#3d85c6", "#d9772b", "#2f9e74", "#b5579f", "#8a79d6", "#a18a2a"];
    private static readonly string[] _dashes = ["", "8 5", "2 5"];

    /// <summary>Writes the root element and its content.</summary>
    public void Paint(IReadOnlyList<LineSeries> series, string title, string xLabel, string yLabel)
    {
        var width = Left + PlotWidth + Right + (series.Count > 1 ? KeyWidth + (LetterWidth * series.Max(line => line.Name.Length)) : 0.0);
        svg.WriteStartElement("svg", Namespace);
        Attributes(
            ("width", Format(width)), ("height", Format(Height)), ("viewBox", $"0 0 {Format(width)} {Format(Height)}"),
            ("font-family", "sans-serif"), ("font-size", "13"), ("fill", Ink));
        Axes();
        for (var i = 0; i < series.Count; i++)
            Curve(series[i], i);
        Text(title, Left + (PlotWidth / 2), Top - 18, "middle", ("font-size", "16"));
        Text(xLabel, Left + (PlotWidth / 2), Height - 12, "middle");
        Text(yLabel, -(Top + (PlotHeight / 2)), 18, "middle", ("transform", "rotate(-90)"));
        if (series.Count > 1)
            Legend(series);
        svg.WriteEndElement();
    }

    private static string Colour(int index) => _colours[index % _colours.Length];

    private static string Dash(int index) => _dashes[index / _colours.Length % _dashes.Length];

    private void Axes()
    {
        foreach (var (value, label) in x.Ticks(8))
        {
            var at = Across(value);
            Line(at, Top, at, Top + PlotHeight, "0.2");
            Text(label, at, Top + PlotHeight + 18, "middle");
        }

        foreach (var (value, label) in y.Ticks(6))
        {
            var at = Up(value);
            Line(Left, at, Left + PlotWidth, at, "0.2");
            Text(label, Left - 8, at + 4.5, "end");
        }

        Line(Left, Top, Left, Top + PlotHeight, "1");
        Line(Left, Top + PlotHeight, Left + PlotWidth, Top + PlotHeight, "1");
    }

    private void Curve(LineSeries line, int index)
    {
        var smooth = line.Smoothing > 0.0;
        Path(line.X, line.Y, index, smooth ? "1" : "2", smooth ? "0.35" : "1");
        if (smooth)
            Path(line.X, line.Smooth(), index, "2.5", "1");
        for (var i = 0; line.HasMarkers && i < line.X.Count; i++)
        {
            if (Shows(line.X[i], line.Y[i]))
                Marker(Across(line.X[i]), Up(line.Y[i]), Colour(index));
        }
    }

    /// <summary>
    /// Draws a line. Of consecutive points in one column of pixels, only the lowest and the highest are written, which gives the same line
    /// with far fewer points.
    /// </summary>
    private void Path(IReadOnlyList<double> xs, IReadOnlyList<double> ys, int index, string width, string opacity)
    {
        var data = new StringBuilder();
        var connected = false;
        for (var i = 0; i < xs.Count;)
        {
            if (!Shows(xs[i], ys[i]))
            {
                (connected, i) = (false, i + 1);
                continue;
            }

            var column = Math.Floor(Across(xs[i]));
            var (low, high) = (i, i);
            for (; i < xs.Count && Shows(xs[i], ys[i]) && Math.Floor(Across(xs[i])) == column; i++)
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
            ("d", data.ToString()), ("fill", "none"), ("stroke", Colour(index)), ("stroke-width", width), ("stroke-opacity", opacity),
            ("stroke-linejoin", "round"), ("stroke-linecap", "round"));
        Dashes(index);
        svg.WriteEndElement();

        void Point(int i)
        {
            // A point between two gaps is a line of length 0, which round line caps show as a dot.
            data.Append(connected ? 'L' : 'M').Append(Format(Across(xs[i]))).Append(' ').Append(Format(Up(ys[i])));
            if (!connected)
                data.Append("h0");
            connected = true;
        }
    }

    private void Legend(IReadOnlyList<LineSeries> series)
    {
        var apart = Math.Min(20.0, PlotHeight / series.Count);
        for (var i = 0; i < series.Count; i++)
        {
            var (left, at) = (Left + PlotWidth + 14, Top + (apart * (i + 0.5)));
            Key(series[i], i, left, at, left + 26);
            Text(series[i].Name, left + 33, at + 4.5, "start");
        }
    }

    private void Key(LineSeries line, int index, double left, double at, double right)
    {
        Line(left, at, right, at, "1", Colour(index), "3", index);
        if (line.HasMarkers)
            Marker((left + right) / 2, at, Colour(index));
    }

    private void Marker(double centreX, double centreY, string colour)
    {
        svg.WriteStartElement("circle", Namespace);
        Attributes(("cx", Format(centreX)), ("cy", Format(centreY)), ("r", "3.2"), ("fill", colour));
        svg.WriteEndElement();
    }

    private void Line(
        double x1, double y1, double x2, double y2, string opacity, string colour = Ink, string width = "1", int index = 0)
    {
        svg.WriteStartElement("line", Namespace);
        Attributes(
            ("x1", Format(x1)), ("y1", Format(y1)), ("x2", Format(x2)), ("y2", Format(y2)),
            ("stroke", colour), ("stroke-width", width), ("stroke-opacity", opacity));
        Dashes(index);
        svg.WriteEndElement();
    }

    private void Text(string text, double left, double baseline, string anchor, params ReadOnlySpan<(string, string)> more)
    {
        if (text.Length == 0)
            return;
        svg.WriteStartElement("text", Namespace);
        Attributes(("x", Format(left)), ("y", Format(baseline)), ("text-anchor", anchor));
        Attributes(more);
        svg.WriteString(text);
        svg.WriteEndElement();
    }

    private void Dashes(int index)
    {
        if (Dash(index).Length > 0)
            Attributes(("stroke-dasharray", Dash(index)));
    }

    private void Attributes(params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        foreach (var (name, value) in attributes)
            svg.WriteAttributeString(name, value);
    }

    private bool Shows(double atX, double atY) => x.Shows(atX) && y.Shows(atY);

    private double Across(double value) => Left + (x.Place(value) * PlotWidth);

    private double Up(double value) => Top + ((1.0 - y.Place(value)) * PlotHeight);

    private static string Format(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
