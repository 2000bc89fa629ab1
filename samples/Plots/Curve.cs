using Diffusion.Core.Data;

namespace Plots;

/// <summary>Creates the lines of a chart from functions.</summary>
internal static class Curve
{
    /// <summary>
    /// Evaluates a function at evenly spaced points from <paramref name="from"/> to <paramref name="to"/>, both included. Values outside
    /// [<paramref name="low"/>, <paramref name="high"/>] become gaps in the line.
    /// </summary>
    public static LineSeries Of(
        string name,
        Func<double, double> function,
        double from,
        double to,
        double low = double.NegativeInfinity,
        double high = double.PositiveInfinity,
        int points = 401)
    {
        var x = new double[points];
        var y = new double[points];
        for (var i = 0; i < points; i++)
        {
            x[i] = from + ((to - from) * i / (points - 1));
            y[i] = function(x[i]);
            if (!(y[i] >= low && y[i] <= high))
                y[i] = double.NaN;
        }

        return new LineSeries(name, x, y);
    }
}
