using System.Globalization;
using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>Writes the page of a <see cref="RunReport"/>, as HTML that is well-formed XML too.</summary>
internal sealed class ReportPage(IReadOnlyList<RunRecord> records, string folder)
{
    private const int MaxEvents = 100;
    private static readonly string[] _environment = ["device", "library", "torch", "runtime", "system", "processors"];

    private readonly ReportRecord[] _reports = [.. records.OfType<ReportRecord>().OrderBy(record => record.Step)];

    public void Write(XmlWriter html)
    {
        html.WriteRaw("<!DOCTYPE html>\n");
        html.WriteStartElement("html");
        html.WriteAttributeString("lang", "en");
        var name = ReportHtml.Clean(new DirectoryInfo(folder).Name);
        Head(html, name);
        html.WriteStartElement("body");
        html.WriteStartElement("header");
        html.Element("h1", name);
        html.Element("p", Status());
        html.WriteFullEndElement();
        Tiles(html);
        new ReportCharts(_reports, [.. records.OfType<MeasurementRecord>().OrderBy(record => record.Step)]).Write(html);
        new ReportPictures([.. records.OfType<PictureRecord>()], folder).Write(html);
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

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    private static bool IsBeginning(EventRecord happened) => happened.Name is EventRecord.Started or EventRecord.Resumed;

    private string Status()
    {
        if (records.Count == 0)
            return "Nothing has been written yet.";
        var state = records.OfType<EventRecord>().LastOrDefault(record => record.Name != EventRecord.Saved)?.Name switch
        {
            null or EventRecord.Started or EventRecord.Resumed => "Running, or ended without a word",
            var name => char.ToUpperInvariant(name[0]) + name[1..],
        };
        var step = ReportHtml.Number(records.Max(record => record.Step));
        return $"{state} at step {step}. From {Time(records[0].Time)} to {Time(records[^1].Time)}.";
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
        foreach (var measured in records.OfType<MeasurementRecord>().GroupBy(record => record.Name).Take(6))
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

    /// <summary>The newest first, and the steps that were skipped among them.</summary>
    private void Events(XmlWriter html)
    {
        var rows = new List<(long Step, DateTimeOffset Time, string Text)>();
        var skipped = 0L;
        foreach (var record in records)
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
        var details = records.OfType<EventRecord>().LastOrDefault(IsBeginning)?.Details;
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
