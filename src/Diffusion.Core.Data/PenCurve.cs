namespace Diffusion.Core.Data;

/// <summary>
/// A smooth curve through points x0, y0, x1, y1, ... (a uniform Catmull-Rom spline), ended and started anew where a point is repeated.
/// </summary>
internal readonly ref struct PenCurve(ReadOnlySpan<double> points)
{
    private readonly ReadOnlySpan<double> _points = points;

    /// <summary>The number of pieces, each from a point to the next.</summary>
    public int Pieces => (_points.Length / 2) - 1;

    /// <summary>Whether a piece is a corner: from a point to itself.</summary>
    public bool IsCorner(int piece)
        => _points[2 * piece] == _points[(2 * piece) + 2] && _points[(2 * piece) + 1] == _points[(2 * piece) + 3];

    /// <summary>The point a part, 0 to 1, along a piece.</summary>
    public (double X, double Y) At(int piece, double t)
    {
        // Before the first point and behind the last, the end itself stands in for a neighbour; at a corner, its repetition does.
        var (i, before, after) = (2 * piece, 2 * Math.Max(piece - 1, 0), 2 * Math.Min(piece + 2, Pieces));
        return (
            Blend(_points[before], _points[i], _points[i + 2], _points[after], t),
            Blend(_points[before + 1], _points[i + 1], _points[i + 3], _points[after + 1], t));
    }

    private static double Blend(double p0, double p1, double p2, double p3, double t)
        => p1 + (0.5 * t * (p2 - p0 + (t * ((2.0 * p0) - (5.0 * p1) + (4.0 * p2) - p3 + (t * ((3.0 * (p1 - p2)) + p3 - p0))))));
}
