namespace Diffusion.Core.Data;

/// <summary>
/// Writes one digit by hand: a way of writing it, every point a little off, the whole rotated, slanted, stretched and shifted, with a
/// pen of some thickness and softness. All of it follows from one seed.
/// </summary>
internal static class DigitPen
{
    private const double Height = 0.70;
    private const double Margin = 0.04;
    private const int MostPoints = 32;

    /// <summary>Draws a digit.</summary>
    /// <param name="digit">0..9.</param>
    /// <param name="seed">All that varies.</param>
    /// <param name="size">Pixels on a side.</param>
    /// <param name="pixels">size * size bytes, 0 without ink.</param>
    /// <param name="depth">Working memory of as many values.</param>
    public static void Draw(int digit, ulong seed, int size, Span<byte> pixels, Span<double> depth)
    {
        var random = new SplitMix64(seed);
        var ways = DigitStrokes.All[digit];
        var strokes = ways[random.Below(ways.Length)];
        var radius = random.Uniform(0.030, 0.062) * size;
        var raster = new StrokeRaster(depth, size, random.Uniform(0.030, 0.055) * size);

        Span<double> points = stackalloc double[strokes.Length * MostPoints * 2];
        var place = Place(strokes, points, ref random, radius / size);
        var start = 0;
        foreach (var stroke in strokes)
        {
            var (first, last) = (radius * random.Uniform(0.85, 1.1), radius * random.Uniform(0.8, 1.1));
            Trace(points.Slice(start, stroke.Length), place, size, first, last, raster);
            start += stroke.Length;
        }

        raster.CopyTo(pixels);
    }

    /// <summary>Distorts the points, and finds the scale and shift that keep them, with the pen, inside the unit square.</summary>
    private static (double Scale, double X, double Y) Place(double[][] strokes, Span<double> points, ref SplitMix64 random, double radius)
    {
        // tan(angle / 2) makes a rotation out of arithmetic alone.
        var half = 0.055 * random.Bell();
        var (cos, sin) = ((1.0 - (half * half)) / (1.0 + (half * half)), 2.0 * half / (1.0 + (half * half)));
        var height = Height * (1.0 + (0.06 * random.Bell()));
        var width = height * random.Uniform(0.80, 1.20);
        var slant = 0.10 + (0.13 * random.Bell());
        var (left, right, top, bottom) = (double.MaxValue, double.MinValue, double.MaxValue, double.MinValue);
        var n = 0;
        foreach (var stroke in strokes)
        {
            var (jx, jy) = (0.0, 0.0);
            for (var i = 0; i < stroke.Length; i += 2, n += 2)
            {
                var corner = i > 0 && stroke[i] == stroke[i - 2] && stroke[i + 1] == stroke[i - 1];
                if (!corner)
                    (jx, jy) = (0.024 * random.Bell(), 0.024 * random.Bell());
                var y = stroke[i + 1] + jy - 0.5;
                var x = stroke[i] + jx - 0.5 - (slant * y);
                (x, y) = (x * width, y * height);
                (points[n], points[n + 1]) = ((cos * x) - (sin * y), (sin * x) + (cos * y));
                (left, right) = (Math.Min(left, points[n]), Math.Max(right, points[n]));
                (top, bottom) = (Math.Min(top, points[n + 1]), Math.Max(bottom, points[n + 1]));
            }
        }

        // The curve swings a little beyond its points; the margin has room for that.
        var room = 1.0 - (2.0 * (Margin + radius));
        var scale = Math.Min(1.0, room / Math.Max(right - left, bottom - top));
        var shiftX = Shift(left * scale, right * scale, 0.03 * random.Bell(), room);
        var shiftY = Shift(top * scale, bottom * scale, 0.03 * random.Bell(), room);
        return (scale, shiftX, shiftY);
    }

    /// <summary>Where to put the origin so that low..high lies about the middle of the unit square, a wish off, and inside the room.</summary>
    private static double Shift(double low, double high, double wish, double room)
    {
        var slack = Math.Max(0.5 * (room - (high - low)), 0.0);
        return 0.5 - (0.5 * (low + high)) + Math.Clamp(wish, -slack, slack);
    }

    /// <summary>A Catmull-Rom curve through the points, ended and started anew where a point is repeated.</summary>
    private static void Trace(
        ReadOnlySpan<double> points, (double Scale, double X, double Y) place, int size, double first, double last, StrokeRaster raster)
    {
        var count = points.Length / 2;
        var pieces = Math.Max(4, size / 5);
        for (var i = 0; i + 1 < count; i++)
        {
            var (x1, y1, x2, y2) = (points[2 * i], points[(2 * i) + 1], points[(2 * i) + 2], points[(2 * i) + 3]);
            if (x1 == x2 && y1 == y2)
                continue;
            var (x0, y0) = i > 0 ? (points[(2 * i) - 2], points[(2 * i) - 1]) : (x1, y1);
            var (x3, y3) = i + 2 < count ? (points[(2 * i) + 4], points[(2 * i) + 5]) : (x2, y2);
            var (px, py, pr) = (0.0, 0.0, 0.0);
            for (var k = 0; k <= pieces; k++)
            {
                var t = (double)k / pieces;
                var x = ((Curve(x0, x1, x2, x3, t) * place.Scale) + place.X) * size;
                var y = ((Curve(y0, y1, y2, y3, t) * place.Scale) + place.Y) * size;
                var r = first + ((last - first) * (i + t) / (count - 1));
                if (k > 0)
                    raster.Line(px, py, pr, x, y, r);
                (px, py, pr) = (x, y, r);
            }
        }
    }

    private static double Curve(double p0, double p1, double p2, double p3, double t)
        => p1 + (0.5 * t * (p2 - p0 + (t * ((2.0 * p0) - (5.0 * p1) + (4.0 * p2) - p3 + (t * ((3.0 * (p1 - p2)) + p3 - p0))))));
}
