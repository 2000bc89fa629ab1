using System.Text;
using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>
/// A page about a run that shows, from its <see cref="MetricsFile"/>, losses, rates, measurements, samples over time, events, options and
/// environment. It is one HTML file that needs nothing else: no network, no fonts, no other file.
/// </summary>
/// <remarks>As a callback it rewrites the page while the run goes on; list it after the metrics file. Nothing on the page names a folder
/// of the machine but that of the run.</remarks>
public sealed class RunReport : TrainerCallback
{
    /// <summary>The names of the metrics file in a folder, and of the page that is written to the same folder.</summary>
    public const string MetricsName = "metrics.jsonl", ReportName = "report.html";

    private readonly string _metrics;
    private readonly string _path;
    private readonly int _everyReports = 10;
    private int _reports;

    /// <summary>A page that is rewritten while a run goes on.</summary>
    /// <param name="run">The metrics file, or its folder, in which it is called <c>metrics.jsonl</c>.</param>
    /// <param name="path">The page. The default is <c>report.html</c> in the folder of the metrics.</param>
    public RunReport(string run, string? path = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(run);
        _metrics = run.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase) ? run : Path.Combine(run, MetricsName);
        _metrics = Path.GetFullPath(_metrics);
        _path = Path.GetFullPath(path ?? Path.Combine(Path.GetDirectoryName(_metrics)!, ReportName));
    }

    /// <summary>Reports between two versions of the page: 10. There is one more at the end.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is less than 1.</exception>
    public int EveryReports
    {
        get => _everyReports;
        init => _everyReports = Guard.InRange(value, 1, int.MaxValue);
    }

    /// <summary>Writes the page of a run, whole or not at all.</summary>
    /// <param name="run">The metrics file, or its folder, in which it is called <c>metrics.jsonl</c>.</param>
    /// <param name="path">The page. The default is <c>report.html</c> in the folder of the metrics.</param>
    /// <exception cref="InvalidDataException">The metrics file is damaged; the message gives the line.</exception>
    /// <exception cref="IOException">It cannot be read, or the page cannot be written.</exception>
    public static void Write(string run, string? path = null) => new RunReport(run, path).Write();

    /// <inheritdoc/>
    public override void Reported(TrainingRun run, TrainingProgress progress)
    {
        if (++_reports % EveryReports == 0)
            Write();
    }

    /// <inheritdoc/>
    public override void Ended(TrainingRun run, Exception? error) => Write();

    private void Write()
    {
        var folder = Path.GetDirectoryName(_metrics)!;
        var page = new ReportPage(MetricsFile.Read(_metrics), folder);
        using var memory = new MemoryStream();
        var settings = new XmlWriterSettings { OmitXmlDeclaration = true, Encoding = new UTF8Encoding(false), NewLineChars = "\n" };
        using (var html = XmlWriter.Create(memory, settings))
            page.Write(html);
        AtomicFile.Write(_path, memory.WriteTo);
    }
}
