namespace Diffusion.Core.Data;

/// <summary>
/// Draws a handwritten digit. The variant, a displacement of each point, the rotation, slant, stretch and shift of the whole, and the
/// thickness and softness of the pen are random, and determined by one seed.
/// </summary>
internal static class DigitPen
{
    private const double Height = 0.70;
    private const double Margin = 0.02;
    private const double MostPressure = 1.1;

    /// <summary>Draws a digit.</summary>
    /// <param name="digit">The digit, 0 to 9.</param>
    /// <param name="seed">The seed of all random numbers.</param>
    /// <param name="size">The height and width of the image in pixels.</param>
    /// <param name="pixels">Receives the image, size * size bytes; 0 is no ink.</param>
    /// <param name="depth">Working memory of size * size values.</param>
    public static void Draw(int digit, ulong seed, int size, Span<byte> pixels, Span<double> depth)
    {
        var random = new SplitMix64(seed);
        var ways = DigitStrokes.All[digit];
        var strokes = ways[random.Below(ways.Length)];
        var radius = random.Uniform(0.030, 0.062);
        var softness = random.Uniform(0.030, 0.055);

        var length = 0;
        foreach (var stroke in strokes)
            length += stroke.Length;
        Span<double> points = stackalloc double[length];
        Distort(strokes, points, ref random);
        var reach = (MostPressure * radius) + (0.5 * softness);
        Place(strokes, points, 1.0 - (2.0 * (Margin + reach)), 0.03 * random.Bell(), 0.03 * random.Bell());

        var raster = new StrokeRaster(depth, size, softness * size);
        var start = 0;
        foreach (var stroke in strokes)
        {
            var (first, last) = (radius * random.Uniform(0.85, MostPressure), radius * random.Uniform(0.8, MostPressure));
            Trace(new PenCurve(points.Slice(start, stroke.Length)), size, first * size, last * size, raster);
            start += stroke.Length;
        }

        raster.CopyTo(pixels);
    }

    /// <summary>
    /// Computes the points of all strokes around the origin, with a random displacement of each point, and a common rotation, slant and
    /// stretch.
    /// </summary>
    private static void Distort(double[][] strokes, Span<double> points, ref SplitMix64 random)
    {
        // With tan(angle / 2) as the parameter, a rotation needs no trigonometric functions, whose results may differ between machines.
        var half = 0.055 * random.Bell();
        var (cos, sin) = ((1.0 - (half * half)) / (1.0 + (half * half)), 2.0 * half / (1.0 + (half * half)));
        var height = Height * (1.0 + (0.06 * random.Bell()));
        var width = height * random.Uniform(0.80, 1.20);
        var slant = 0.10 + (0.13 * random.Bell());
        var n = 0;
        foreach (var stroke in strokes)
        {
            for (var i = 0; i < stroke.Length; i += 2, n += 2)
            {
                if (i > 0 && stroke[i] == stroke[i - 2] && stroke[i + 1] == stroke[i - 1])
                {
                    (points[n], points[n + 1]) = (points[n - 2], points[n - 1]);
                    continue;
                }

                var y = stroke[i + 1] - 0.5 + (0.024 * random.Bell());
                var x = stroke[i] - 0.5 + (0.024 * random.Bell()) - (slant * y);
                (x, y) = (x * width, y * height);
                (points[n], points[n + 1]) = ((cos * x) - (sin * y), (sin * x) + (cos * y));
            }
        }
    }

    /// <summary>
    /// Moves the strokes to the centre of the unit square, displaced by (<paramref name="wishX"/>, <paramref name="wishY"/>) as far as they
    /// stay within a central square of width <paramref name="room"/>. Strokes that are too large for this square are scaled down.
    /// </summary>
    private static void Place(double[][] strokes, Span<double> points, double room, double wishX, double wishY)
    {
        var (left, right, top, bottom) = (double.MaxValue, double.MinValue, double.MaxValue, double.MinValue);
        var start = 0;
        foreach (var stroke in strokes)
        {
            // The curve extends beyond its points. Its extent is measured closely enough at each quarter of a piece.
            var curve = new PenCurve(points.Slice(start, stroke.Length));
            for (var quarter = 0; quarter <= 4 * curve.Pieces; quarter++)
            {
                var piece = Math.Min(quarter / 4, curve.Pieces - 1);
                var (x, y) = curve.At(piece, (quarter / 4.0) - piece);
                (left, right) = (Math.Min(left, x), Math.Max(right, x));
                (top, bottom) = (Math.Min(top, y), Math.Max(bottom, y));
            }

            start += stroke.Length;
        }

        var scale = Math.Min(1.0, room / Math.Max(right - left, bottom - top));
        var shiftX = Shift(scale * left, scale * right, room, wishX);
        var shiftY = Shift(scale * top, scale * bottom, room, wishY);
        for (var i = 0; i < points.Length; i += 2)
            (points[i], points[i + 1]) = ((scale * points[i]) + shiftX, (scale * points[i + 1]) + shiftY);
    }

    private static double Shift(double low, double high, double room, double wish)
    {
        var slack = Math.Max(0.5 * (room - (high - low)), 0.0);
        return 0.5 - (0.5 * (low + high)) + Math.Clamp(wish, -slack, slack);
    }

    private static void Trace(PenCurve curve, int size, double first, double last, StrokeRaster raster)
    {
        var lines = Math.Max(4, size / 5);
        for (var piece = 0; piece < curve.Pieces; piece++)
        {
            if (curve.IsCorner(piece))
                continue;
            var (x, y) = curve.At(piece, 0.0);
            var radius = first + ((last - first) * piece / curve.Pieces);
            for (var k = 1; k <= lines; k++)
            {
                var t = (double)k / lines;
                var (nextX, nextY) = curve.At(piece, t);
                var next = first + ((last - first) * (piece + t) / curve.Pieces);
                raster.Line(x * size, y * size, radius, nextX * size, nextY * size, next);
                (x, y, radius) = (nextX, nextY, next);
            }
        }
    }
}

/// <summary>
/// A smooth curve through points x0, y0, x1, y1, ... (a uniform Catmull-Rom spline). At a repeated point, the curve has a corner.
/// </summary>
internal readonly ref struct PenCurve(ReadOnlySpan<double> points)
{
    private readonly ReadOnlySpan<double> _points = points;

    /// <summary>The number of pieces, each of which connects two consecutive points.</summary>
    public int Pieces => (_points.Length / 2) - 1;

    /// <summary>Whether a piece is a corner: its two points are equal.</summary>
    public bool IsCorner(int piece)
        => _points[2 * piece] == _points[(2 * piece) + 2] && _points[(2 * piece) + 1] == _points[(2 * piece) + 3];

    /// <summary>Returns the point of a piece at position <paramref name="t"/>, from 0 to 1.</summary>
    public (double X, double Y) At(int piece, double t)
    {
        // At the ends of the curve, the missing neighbour is replaced by the end point. At a corner, the neighbour is the repeated point.
        var (i, before, after) = (2 * piece, 2 * Math.Max(piece - 1, 0), 2 * Math.Min(piece + 2, Pieces));
        return (
            Blend(_points[before], _points[i], _points[i + 2], _points[after], t),
            Blend(_points[before + 1], _points[i + 1], _points[i + 3], _points[after + 1], t));
    }

    private static double Blend(double p0, double p1, double p2, double p3, double t)
        => p1 + (0.5 * t * (p2 - p0 + (t * ((2.0 * p0) - (5.0 * p1) + (4.0 * p2) - p3 + (t * ((3.0 * (p1 - p2)) + p3 - p0))))));
}
