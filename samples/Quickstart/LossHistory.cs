using System.Globalization;
using Diffusion.Core.Data;

namespace Quickstart;

/// <summary>The training loss over the steps, written down as it comes, so that a resumed run draws the whole curve.</summary>
internal sealed class LossHistory
{
    private const string Header = "step,loss";

    private readonly string _path;
    private readonly List<(double Step, double Loss)> _points = [];

    /// <summary>Keeps what an earlier part of the run wrote, up to the step that this part starts from.</summary>
    public LossHistory(string path, long firstStep)
    {
        _path = path;
        if (File.Exists(path))
        {
            foreach (var line in File.ReadLines(path).Skip(1))
            {
                var cells = line.Split(',');
                if (cells.Length == 2
                    && long.TryParse(cells[0], CultureInfo.InvariantCulture, out var step) && step <= firstStep
                    && double.TryParse(cells[1], CultureInfo.InvariantCulture, out var loss))
                    _points.Add((step, loss));
            }
        }

        File.WriteAllLines(path, _points.Select(Line).Prepend(Header));
    }

    public void Add(long step, double loss)
    {
        _points.Add((step, loss));
        File.AppendAllLines(_path, [Line(_points[^1])]);
    }

    public void Draw(string path)
    {
        if (_points.Count == 0)
            return;
        var line = new LineSeries("mean of 10 steps", _points.Select(p => p.Step).ToArray(), _points.Select(p => p.Loss).ToArray(), smoothing: 0.9);
        LineChart.SaveSvg(path, [line], "Training loss", "step", "L_simple", logScale: true);
    }

    private static string Line((double Step, double Loss) point)
        => string.Create(CultureInfo.InvariantCulture, $"{point.Step:F0},{point.Loss:R}");
}
