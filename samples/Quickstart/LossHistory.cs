using System.Globalization;
using Diffusion.Core.Data;

namespace Quickstart;

/// <summary>The training loss over the steps, kept as loss.csv so that a resumed run draws the whole curve.</summary>
internal sealed class LossHistory(string path)
{
    private readonly List<(double Step, double Loss)> _points = [];

    /// <summary>Reads what an earlier run wrote, up to the step it is resumed from.</summary>
    public void Load(long lastStep)
    {
        if (!File.Exists(path))
            return;
        foreach (var line in File.ReadLines(path).Skip(1))
        {
            var cells = line.Split(',');
            if (long.TryParse(cells[0], CultureInfo.InvariantCulture, out var step) && step <= lastStep
                && double.TryParse(cells[^1], CultureInfo.InvariantCulture, out var loss))
                _points.Add((step, loss));
        }
    }

    public void Add(long step, double loss) => _points.Add((step, loss));

    public void Save(string chart)
    {
        File.WriteAllLines(path, _points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.Step:F0},{p.Loss:R}")).Prepend("step,loss"));
        if (_points.Count > 0)
            LineChart.SaveSvg(
                chart,
                [new LineSeries("mean of 10 steps", _points.Select(p => p.Step).ToArray(), _points.Select(p => p.Loss).ToArray(), smoothing: 0.9)],
                "Training loss",
                "step",
                "L_simple",
                logScale: true);
    }
}
