using System.Text;
using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>
/// A page about a run that shows the data of its <see cref="MetricsFile"/>: losses, learning rates, metrics, images over time, events,
/// options and environment. It is a single HTML file that needs no network, fonts or other files.
/// </summary>
/// <remarks>
/// As a callback, it rewrites the page during the run; list it after the metrics file. The page contains the name of the folder of the run,
/// but no paths. Images outside of this folder, also through links, are left out; the page contains their number.
/// </remarks>
public sealed class RunReport : TrainerCallback
{
    /// <summary>The default names of the metrics file and of the page, which is written to the same folder.</summary>
    public const string MetricsName = "metrics.jsonl", ReportName = "report.html";

    private readonly string _metrics;
    private readonly string _path;
    private readonly int _everyReports = 10;
    private int _reports;

    /// <summary>Creates a callback that writes the page during a run.</summary>
    /// <param name="run">The path of the metrics file, or of the folder that contains it as <c>metrics.jsonl</c>.</param>
    /// <param name="path">The path of the page. The default is <c>report.html</c> in the folder of the metrics file.</param>
    public RunReport(string run, string? path = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(run);
        _metrics = run.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase) ? run : Path.Combine(run, MetricsName);
        _metrics = Path.GetFullPath(_metrics);
        _path = Path.GetFullPath(path ?? Path.Combine(Path.GetDirectoryName(_metrics)!, ReportName));
    }

    /// <summary>
    /// The number of reports after which the page is rewritten. It is also written at the end of the run. The default is 10.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is less than 1.</exception>
    public int EveryReports
    {
        get => _everyReports;
        init => _everyReports = Guard.InRange(value, 1, int.MaxValue);
    }

    /// <inheritdoc/>
    public override bool IsRecord => true;

    /// <summary>Writes the page of a run. The file is written completely or not at all.</summary>
    /// <param name="run">The path of the metrics file, or of the folder that contains it as <c>metrics.jsonl</c>.</param>
    /// <param name="path">The path of the page. The default is <c>report.html</c> in the folder of the metrics file.</param>
    /// <exception cref="InvalidDataException">The metrics file is damaged. The message contains the number of the line.</exception>
    /// <exception cref="IOException">The metrics file cannot be read, or the page cannot be written.</exception>
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
