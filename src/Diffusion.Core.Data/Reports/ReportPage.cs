using System.Globalization;
using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>Writes the page of a <see cref="RunReport"/>, as HTML that is also well-formed XML.</summary>
internal sealed class ReportPage
{
    private const int MaxEvents = 100;
    private static readonly string[] _environment = ["device", "library", "torch", "runtime", "system", "processors"];

    private readonly RunRecord[] _records;
    private readonly ReportRecord[] _reports;
    private readonly string _folder;

    /// <param name="records">The records. Missing texts are replaced, because the file may have been written by other programs.</param>
    /// <param name="folder">The folder of the run.</param>
    public ReportPage(IEnumerable<RunRecord> records, string folder)
    {
        (_records, _folder) = ([.. records.Select(Complete)], folder);
        _reports = [.. _records.OfType<ReportRecord>().OrderBy(record => record.Step)];
    }

    public void Write(XmlWriter html)
    {
        html.WriteRaw("<!DOCTYPE html>\n");
        html.WriteStartElement("html");
        html.WriteAttributeString("lang", "en");
        var name = ReportHtml.Clean(new DirectoryInfo(_folder).Name);
        Head(html, name);
        html.WriteStartElement("body");
        html.WriteStartElement("header");
        html.Element("h1", name);
        html.Element("p", Status());
        html.WriteFullEndElement();
        Tiles(html);
        new ReportCharts(_reports, [.. _records.OfType<MetricRecord>().OrderBy(record => record.Step)]).Write(html);
        new ReportPictures([.. _records.OfType<ImageRecord>()], _folder).Write(html);
        Events(html);
        Tables(html);
        html.WriteStartElement("script");
        html.WriteRaw(ReportHtml.Script);
        html.WriteFullEndElement();
        html.WriteFullEndElement();
        html.WriteFullEndElement();
    }

    private static void Head(XmlWriter html, string name)
    {
        html.WriteStartElement("head");
        html.Void("meta", ("charset", "utf-8"));
        html.Void("meta", ("name", "viewport"), ("content", "width=device-width, initial-scale=1"));
        html.Element("title", name);
        html.WriteStartElement("style");
        html.WriteRaw(ReportHtml.Style);
        html.WriteFullEndElement();
        html.WriteFullEndElement();
    }

    private static RunRecord Complete(RunRecord record) => record switch
    {
        EventRecord happened => happened with { Name = Name(happened.Name), Details = happened.Details ?? new Dictionary<string, string>() },
        MetricRecord metric => metric with { Name = Name(metric.Name) },
        ImageRecord image => image with { Name = Name(image.Name), Path = image.Path ?? "" },
        ReportRecord report => report with { Metrics = report.Metrics ?? new Dictionary<string, double>() },
        _ => record,
    };

    private static string Name(string? name) => string.IsNullOrWhiteSpace(name) ? "(no name)" : name;

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    private static bool IsBeginning(EventRecord happened) => happened.Name is EventRecord.Started or EventRecord.Resumed;

    private string Status()
    {
        if (_records.Length == 0)
            return "Nothing has been written yet.";
        var state = _records.OfType<EventRecord>().LastOrDefault(record => record.Name != EventRecord.Saved)?.Name switch
        {
            null or EventRecord.Started or EventRecord.Resumed => "Running, or terminated unexpectedly",
            var name => char.ToUpperInvariant(name[0]) + name[1..],
        };
        var step = ReportHtml.Number(_records.Max(record => record.Step));
        return $"{state} at step {step}. From {Time(_records[0].Time)} to {Time(_records[^1].Time)}.";
    }

    private void Tiles(XmlWriter html)
    {
        if (_reports is not [.., var last])
            return;
        html.WriteStartElement("dl");
        html.WriteAttributeString("class", "tiles");
        Tile("loss", ReportHtml.Number(last.Loss));
        Tile("epoch", ReportHtml.Number(last.Epoch));
        Tile("learning rate", ReportHtml.Number(last.LearningRate));
        Tile("samples/s", ReportHtml.Number(last.SamplesPerSecond));
        Tile("seconds a step", ReportHtml.Number(last.SecondsPerStep));
        Tile("skipped steps", ReportHtml.Number(last.SkippedSteps));
        foreach (var measured in _records.OfType<MetricRecord>().GroupBy(record => record.Name).Take(6))
            Tile(measured.Key, ReportHtml.Number(measured.Last().Value));
        html.WriteFullEndElement();

        void Tile(string name, string value)
        {
            html.WriteStartElement("div");
            html.Element("dt", name);
            html.Element("dd", value);
            html.WriteFullEndElement();
        }
    }

    /// <summary>Writes a table of the events and the skipped steps, with the newest first.</summary>
    private void Events(XmlWriter html)
    {
        var rows = new List<(long Step, DateTimeOffset Time, string Text)>();
        var skipped = 0L;
        foreach (var record in _records)
        {
            if (record is EventRecord happened)
                rows.Add((record.Step, record.Time, Text(happened)));
            if (record is ReportRecord report && report.SkippedSteps > skipped)
            {
                var more = ReportHtml.Number(report.SkippedSteps - skipped);
                rows.Add((record.Step, record.Time, $"skipped {more} steps that were not finite"));
                skipped = report.SkippedSteps;
            }
        }

        html.Element("h2", "Events");
        if (rows.Count > MaxEvents)
            html.Element("p", $"The last {MaxEvents} of {ReportHtml.Number(rows.Count)}.");
        rows.Reverse();
        html.Table(
            ["step", "time", "what"],
            rows.Take(MaxEvents).Select(row => (string[])[ReportHtml.Number(row.Step), Time(row.Time), row.Text]));

        static string Text(EventRecord happened) => IsBeginning(happened) || happened.Details.Count == 0
            ? happened.Name
            : $"{happened.Name}: {string.Join(", ", happened.Details.Values)}";
    }

    private void Tables(XmlWriter html)
    {
        var details = _records.OfType<EventRecord>().LastOrDefault(IsBeginning)?.Details;
        if (details is null)
            return;
        html.Element("h2", "Options");
        html.Table(["option", "value"], Rows(environment: false));
        html.Element("h2", "Environment");
        html.Table(["what", "value"], Rows(environment: true));

        IEnumerable<string[]> Rows(bool environment) => details
            .Where(detail => _environment.Contains(detail.Key) == environment)
            .Select(detail => (string[])[detail.Key.Replace('_', ' '), detail.Value]);
    }
}

/// <summary>
/// Writes the elements of reports. End tags are written even for empty elements, as HTML requires, except by <see cref="Void"/>.
/// </summary>
internal static class ReportHtml
{
    /// <summary>
    /// The style sheet, with light or dark colours according to the settings of the user. Charts have colours that are visible on both.
    /// </summary>
    public const string Style = """
        :root{color-scheme:light dark;--ground:#fff;--ink:#1f2328;--soft:#656d76;--card:#f6f8fa;--line:#d0d7de}
        @media(prefers-color-scheme:dark){:root{--ground:#0d1117;--ink:#e6edf3;--soft:#8d96a0;--card:#161b22;--line:#30363d}}
        body{margin:2rem auto;padding:0 1rem;max-width:62rem;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
        h1{margin:0;font-size:1.6rem}h2{margin:2rem 0 .5rem;font-size:1.1rem}header p,p{margin:.2rem 0;color:var(--soft)}
        .tiles{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}
        .tiles div{padding:.5rem .9rem;background:var(--card);border:1px solid var(--line);border-radius:.5rem}
        dt{font-size:.8rem;color:var(--soft)}dd{margin:0;font-size:1.2rem;font-variant-numeric:tabular-nums}
        .chart label{margin-left:.4rem;font-size:.85rem;color:var(--soft)}.chart svg{display:block;max-width:100%;height:auto}
        .chart input:checked~.linear,.chart input:not(:checked)~.log{display:none}
        .frames input{width:100%;max-width:40rem}figure{margin:.5rem 0}figure[hidden]{display:none}
        figure img{max-width:100%;min-width:16rem;image-rendering:pixelated}figcaption{font-size:.85rem;color:var(--soft)}
        table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
        th,td{padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
        th{color:var(--soft);font-weight:500}
        """;

    /// <summary>
    /// The script of the sliders, which show one image of a series at a time. It contains no character with a special meaning in XML.
    /// </summary>
    public const string Script = """
        document.querySelectorAll('.frames').forEach(function(box){
        var slider=box.querySelector('input'),frames=box.querySelectorAll('figure');
        function show(){frames.forEach(function(frame,i){frame.hidden=i!=slider.value})}
        slider.max=frames.length-1;slider.value=frames.length-1;slider.oninput=show;show()})
        """;

    /// <summary>Writes an element with text.</summary>
    public static void Element(this XmlWriter html, string name, string? text)
    {
        html.WriteStartElement(name);
        html.WriteString(Clean(text));
        html.WriteFullEndElement();
    }

    /// <summary>Writes an element that has attributes only.</summary>
    public static void Void(this XmlWriter html, string name, params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        html.WriteStartElement(name);
        foreach (var (key, value) in attributes)
            html.WriteAttributeString(key, value);
        html.WriteEndElement();
    }

    /// <summary>Writes a table of texts.</summary>
    public static void Table(this XmlWriter html, string[] head, IEnumerable<string[]> rows)
    {
        html.WriteStartElement("table");
        html.WriteStartElement("thead");
        Row("th", head);
        html.WriteFullEndElement();
        html.WriteStartElement("tbody");
        foreach (var row in rows)
            Row("td", row);
        html.WriteFullEndElement();
        html.WriteFullEndElement();

        void Row(string cell, string[] texts)
        {
            html.WriteStartElement("tr");
            foreach (var text in texts)
                html.Element(cell, text);
            html.WriteFullEndElement();
        }
    }

    /// <summary>Formats a number for display.</summary>
    public static string Number(double value) => Math.Abs(value) is > 0.0 and < 1e-3
        ? value.ToString("0.###e0", CultureInfo.InvariantCulture)
        : value.ToString(Math.Abs(value) < 100.0 ? "0.####" : "#,0.#", CultureInfo.InvariantCulture);

    /// <summary>Replaces characters that are not valid in XML. A missing text is empty.</summary>
    public static string Clean(string? text)
        => string.Concat((text ?? "").EnumerateRunes().Select(
            rune => rune.Value > 0xFFFF || XmlConvert.IsXmlChar((char)rune.Value) ? rune.ToString() : "\uFFFD"));
}
