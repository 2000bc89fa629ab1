using System.Globalization;

namespace Diffusion.Core.Data;

/// <summary>One axis of a chart: a range of values, where they lie between 0 and 1, and round numbers to mark.</summary>
internal sealed class ChartAxis
{
    private readonly bool _log;
    private readonly double _low;
    private readonly double _high;

    /// <summary>An axis that shows all of a range.</summary>
    /// <param name="low">The least value, greater than 0 on a logarithmic axis.</param>
    /// <param name="high">The greatest.</param>
    /// <param name="log">Whether equal ratios are equally far apart.</param>
    /// <param name="room">What to leave free at either end, as a part of the range.</param>
    public ChartAxis(double low, double high, bool log, double room)
    {
        _log = log;
        var (a, b) = (Map(low), Map(high));
        if (a == b)
            (a, b) = log ? (a - 0.5, b + 0.5) : (a - Math.Max(0.5 * Math.Abs(a), 1e-6), b + Math.Max(0.5 * Math.Abs(b), 1e-6));
        (_low, _high) = (a - (room * (b - a)), b + (room * (b - a)));
    }

    /// <summary>Whether a value has a place on this kind of axis.</summary>
    public static bool Shows(double value, bool log) => double.IsFinite(value) && (!log || value > 0.0);

    /// <summary>Whether a value has a place on this axis.</summary>
    public bool Shows(double value) => Shows(value, _log);

    /// <summary>0 at the low end and 1 at the high end.</summary>
    public double Place(double value) => (Map(value) - _low) / (_high - _low);

    /// <summary>
    /// Round values inside the range, ascending: 1, 2 or 5 times a power of ten apart, or powers of ten and what lies between.
    /// </summary>
    /// <param name="about">How many to aim at.</param>
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
            yield return (i * step) + 0.0; // no minus zero
    }

    private double Map(double value) => _log ? Math.Log10(value) : value;

    private static string Label(double value)
        => Math.Abs(value) is >= 1e6 or < 1e-3 and > 0.0
            ? value.ToString("0.###e0", CultureInfo.InvariantCulture)
            : value.ToString("#,0.######", CultureInfo.InvariantCulture);
}
