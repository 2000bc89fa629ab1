using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>The charts of a <see cref="RunReport"/>.</summary>
internal sealed class ReportCharts(ReportRecord[] reports, MetricRecord[] measurements)
{
    /// <summary>A moving average covers about 1 / <see cref="Spans"/> of all reports.</summary>
    private const double Spans = 25.0;
    private static readonly string[] _quarters = ["loss_q0", "loss_q1", "loss_q2", "loss_q3"];
    private static readonly string[] _quarterNames = ["first, least noise", "second", "third", "last, most noise"];

    // Curves of few reports are not smoothed, because an average would only lag behind them.
    private readonly double _smoothing = Math.Clamp(1.0 - (Spans / Math.Max(reports.Length, 1)), 0.0, 0.98);
    private int _charts;

    public void Write(XmlWriter html)
    {
        Chart(html, "Loss", "mean loss", "log", Line("loss", report => report.Loss, _smoothing));
        Chart(html, "Loss by quarter of time", "mean loss", "log", [.. Quarters()]);
        foreach (var measured in measurements.GroupBy(record => record.Name).OrderBy(group => group.Key, StringComparer.Ordinal))
            Chart(html, measured.Key, measured.Key, "linear", Measured(measured.Key, [.. measured]));
        var others = reports.SelectMany(report => report.Metrics.Keys).Distinct().Except(_quarters).Where(IsNews);
        foreach (var name in others.Order(StringComparer.Ordinal))
            Chart(html, name, $"mean of {name}", "linear", Line(name, report => Metric(report, name), _smoothing));
        Chart(html, "Gradient norm", "norm before clipping", "log", Line("norm", report => report.GradientNorm, _smoothing));
        Chart(html, "Learning rate", "learning rate", "linear", Line("rate", report => report.LearningRate));
        Chart(html, "Speed", "samples per second", "linear", Line("speed", report => report.SamplesPerSecond));
        Chart(html, "Waiting for data", "seconds a report", "linear", Line("wait", report => report.DataWait));
    }

    private static double Metric(ReportRecord report, string name) => report.Metrics.TryGetValue(name, out var value) ? value : double.NaN;

    /// <summary>Whether a metric differs from the loss. It does not if the loss has only one term.</summary>
    private bool IsNews(string name)
        => reports.Any(report => Metric(report, name) is var value && Math.Abs(value - report.Loss) > 1e-6 * Math.Abs(report.Loss));

    private static LineSeries Measured(string name, MetricRecord[] values)
        => new(ReportHtml.Clean(name), [.. values.Select(value => (double)value.Step)], [.. values.Select(value => value.Value)])
        {
            HasMarkers = values.Length < 60,
        };

    private LineSeries Line(string name, Func<ReportRecord, double> value, double smoothing = 0.0)
        => new(ReportHtml.Clean(name), [.. reports.Select(report => (double)report.Step)], [.. reports.Select(value)], smoothing);

    private IEnumerable<LineSeries> Quarters()
    {
        for (var i = 0; i < _quarters.Length; i++)
        {
            var name = _quarters[i];
            if (reports.Any(report => report.Metrics.ContainsKey(name)))
                yield return Line(_quarterNames[i], report => Metric(report, name), _smoothing);
        }
    }

    /// <summary>
    /// Writes a chart with a linear axis. If there are positive values, also writes a chart with a logarithmic axis and a check box to
    /// choose one.
    /// </summary>
    private void Chart(XmlWriter html, string title, string label, string scale, params LineSeries[] lines)
    {
        if (!LineChart.CanShow(lines, logScale: false))
            return;
        var hasLog = LineChart.CanShow(lines, logScale: true);
        var id = $"log-{_charts++}";
        html.WriteStartElement("section");
        html.WriteAttributeString("class", "chart");
        html.Element("h2", ReportHtml.Clean(title));
        if (hasLog)
        {
            html.WriteStartElement("input");
            html.WriteAttributeString("type", "checkbox");
            html.WriteAttributeString("id", id);
            if (scale == "log")
                html.WriteAttributeString("checked", "checked");
            html.WriteEndElement();
            html.WriteStartElement("label");
            html.WriteAttributeString("for", id);
            html.WriteString("logarithmic");
            html.WriteFullEndElement();
            Picture("log", logScale: true);
        }

        Picture(hasLog ? "linear" : "only", logScale: false);
        html.WriteFullEndElement();

        void Picture(string kind, bool logScale)
        {
            html.WriteStartElement("div");
            html.WriteAttributeString("class", kind);
            LineChart.Write(html, lines, "", "step", ReportHtml.Clean(label), logScale);
            html.WriteFullEndElement();
        }
    }
}

/// <summary>The images of a <see cref="RunReport"/>, with a slider over the steps of each series.</summary>
internal sealed class ReportPictures(ImageRecord[] pictures, string folder)
{
    /// <summary>The maximum number of images of a series on a page.</summary>
    private const int MaxPictures = 32;

    /// <summary>The approximate maximum size of these images in bytes.</summary>
    private const long MaxBytes = 12L << 20;

    /// <summary>The maximum size of one image in bytes.</summary>
    private const long MaxPictureBytes = 64L << 20;

    private readonly string _folder = RealPath.Of(folder);
    private int _outside;

    public void Write(XmlWriter html)
    {
        foreach (var series in pictures.GroupBy(picture => picture.Name))
        {
            var present = series
                .GroupBy(picture => picture.Step)
                .Select(group => (Step: group.Key, Path: Find(group.Last().Path)))
                .Where(picture => picture.Path is not null)
                .Select(picture => (picture.Step, Path: picture.Path!))
                .OrderBy(picture => picture.Step)
                .ToArray();
            if (present.Length == 0)
                continue;
            var shown = Thin(present);
            html.Element("h2", ReportHtml.Clean(series.Key));
            if (shown.Length < present.Length)
                html.Element("p", $"{shown.Length} of {present.Length} pictures, evenly spread.");
            html.WriteStartElement("div");
            html.WriteAttributeString("class", "frames");
            html.Void("input", ("type", "range"), ("min", "0"), ("value", "0"), ("aria-label", "step"));
            foreach (var (step, path) in shown)
                Figure(html, series.Key, step, DiskFile.ReadBytes(path, MaxPictureBytes));
            html.WriteFullEndElement();
        }

        if (_outside > 0)
            html.Element("p", $"{ReportHtml.Number(_outside)} images are not shown, because they are outside of the folder of the run.");
    }

    /// <summary>
    /// Returns the path of an image without links, or null if it is outside the folder of the run, is not a regular file, or is too large:
    /// a page that is passed on contains files of the run only.
    /// </summary>
    private string? Find(string path)
    {
        try
        {
            var real = RealPath.Of(Path.Combine(folder, path));
            if (RealPath.IsWithin(real, _folder))
                return File.Exists(real) && UnixFile.IsRegular(real) && new FileInfo(real).Length <= MaxPictureBytes ? real : null;
            _outside++;
            return null;
        }
        catch (Exception e) when (e is ArgumentException or IOException)
        {
            return null;
        }
    }

    /// <summary>
    /// Selects evenly spaced images, from the first to the last, within the limits of a page. If there can be only one, it is the last.
    /// </summary>
    private static (long Step, string Path)[] Thin((long Step, string Path)[] all)
    {
        var bytes = all.Sum(picture => new FileInfo(picture.Path).Length);
        var share = Math.Min(1.0, (double)MaxBytes / Math.Max(bytes, 1));
        var count = Math.Clamp((int)(all.Length * share), 1, MaxPictures);
        if (count >= all.Length)
            return all;
        return count == 1 ? [all[^1]] : [.. Enumerable.Range(0, count).Select(i => all[(int)((long)i * (all.Length - 1) / (count - 1))])];
    }

    private static void Figure(XmlWriter html, string name, long step, byte[] png)
    {
        html.WriteStartElement("figure");
        html.WriteStartElement("img");
        html.WriteAttributeString("alt", ReportHtml.Clean($"{name} at step {ReportHtml.Number(step)}"));
        html.WriteStartAttribute("src");
        html.WriteString("data:image/png;base64,");
        html.WriteBase64(png, 0, png.Length);
        html.WriteEndAttribute();
        html.WriteEndElement();
        html.Element("figcaption", $"step {ReportHtml.Number(step)}");
        html.WriteFullEndElement();
    }
}
