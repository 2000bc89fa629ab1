using System.Globalization;

namespace Diffusion.Core.Data;

/// <summary>An axis of a chart, which maps a range of values to [0, 1] and chooses round values for the ticks.</summary>
internal sealed class ChartAxis
{
    private readonly bool _log;
    private readonly double _low;
    private readonly double _high;

    /// <summary>Creates an axis that shows all of a range.</summary>
    /// <param name="low">The lowest value, greater than 0 on a logarithmic axis.</param>
    /// <param name="high">The highest value.</param>
    /// <param name="log">Whether the axis is logarithmic.</param>
    /// <param name="room">The margin at each end, as a fraction of the range.</param>
    public ChartAxis(double low, double high, bool log, double room)
    {
        _log = log;
        var (a, b) = (Map(low), Map(high));
        if (a == b)
            (a, b) = log ? (a - 0.5, b + 0.5) : (a - Math.Max(0.5 * Math.Abs(a), 1e-6), b + Math.Max(0.5 * Math.Abs(b), 1e-6));
        (_low, _high) = (a - (room * (b - a)), b + (room * (b - a)));
    }

    /// <summary>Whether an axis of this kind can show a value.</summary>
    public static bool Shows(double value, bool log) => double.IsFinite(value) && (!log || value > 0.0);

    /// <summary>Whether the axis can show a value.</summary>
    public bool Shows(double value) => Shows(value, _log);

    /// <summary>Returns the position of a value: 0 at the low end, 1 at the high end.</summary>
    public double Place(double value) => (Map(value) - _low) / (_high - _low);

    /// <summary>
    /// Returns round values inside the range, in ascending order, with their labels. They are 1, 2 or 5 times a power of ten apart; on a
    /// logarithmic axis over at least a decade, they are powers of ten and multiples of these.
    /// </summary>
    /// <param name="about">The approximate number of ticks.</param>
    public IReadOnlyList<(double Value, string Label)> Ticks(int about)
    {
        var values = _log && _high - _low >= 1.0 ? LogTicks(about) : LinearTicks(about);
        return [.. values.Select(value => (value, Label(value)))];
    }

    private IEnumerable<double> LogTicks(int about)
    {
        var step = Math.Max(1, (int)Math.Ceiling((_high - _low) / about));
        double[] between = step > 1 ? [1.0] : _high - _low > 0.6 * about ? [1.0] : _high - _low > 2.0 ? [1.0, 3.0] : [1.0, 2.0, 5.0];
        for (var power = (int)Math.Floor(_low); power <= _high; power += step)
        {
            foreach (var factor in between)
            {
                var value = factor * Math.Pow(10.0, power);
                if (Math.Log10(value) >= _low && Math.Log10(value) <= _high)
                    yield return value;
            }
        }
    }

    private IEnumerable<double> LinearTicks(int about)
    {
        var (low, high) = _log ? (Math.Pow(10.0, _low), Math.Pow(10.0, _high)) : (_low, _high);
        var raw = (high - low) / about;
        var power = Math.Pow(10.0, Math.Floor(Math.Log10(raw)));
        var step = power * (raw / power > 7.5 ? 10.0 : raw / power > 3.5 ? 5.0 : raw / power > 1.5 ? 2.0 : 1.0);
        for (var i = Math.Ceiling(low / step); i <= Math.Floor(high / step); i++)
            yield return (i * step) + 0.0; // Avoids negative zero.
    }

    private double Map(double value) => _log ? Math.Log10(value) : value;

    private static string Label(double value)
        => Math.Abs(value) is >= 1e6 or < 1e-3 and > 0.0
            ? value.ToString("0.###e0", CultureInfo.InvariantCulture)
            : value.ToString("#,0.######", CultureInfo.InvariantCulture);
}
