namespace Diffusion.Core.Data;

/// <summary>
/// Draws pen strokes. The ink at a pixel depends on the depth of its centre inside the strokes, and decreases from full to none over the
/// width of the soft edge of the pen. Only arithmetic and square roots are used, so that the bytes are the same on every machine.
/// </summary>
internal readonly ref struct StrokeRaster
{
    private readonly Span<double> _depth;
    private readonly int _size;
    private readonly double _softness;

    /// <summary>Creates an empty square image.</summary>
    /// <param name="depth">Working memory of size * size values.</param>
    /// <param name="size">The height and width of the image in pixels.</param>
    /// <param name="softness">The width of the soft edge in pixels.</param>
    public StrokeRaster(Span<double> depth, int size, double softness)
    {
        _depth = depth;
        _size = size;
        _softness = softness;
        depth.Fill(-softness);
    }

    /// <summary>Draws a line segment whose radius changes linearly from one end to the other. All values are in pixels.</summary>
    public void Line(double x0, double y0, double r0, double x1, double y1, double r1)
    {
        var (dx, dy, dr) = (x1 - x0, y1 - y0, r1 - r0);
        var square = (dx * dx) + (dy * dy);
        var inverse = square > 0.0 ? 1.0 / square : 0.0;
        var reach = Math.Max(r0, r1) + (0.5 * _softness);
        var (left, right) = (First(Math.Min(x0, x1) - reach), Last(Math.Max(x0, x1) + reach));
        var (top, bottom) = (First(Math.Min(y0, y1) - reach), Last(Math.Max(y0, y1) + reach));
        for (var y = top; y <= bottom; y++)
        {
            var row = _depth.Slice(y * _size, _size);
            var py = y + 0.5 - y0;
            for (var x = left; x <= right; x++)
            {
                var px = x + 0.5 - x0;
                var along = Math.Clamp(((px * dx) + (py * dy)) * inverse, 0.0, 1.0);
                var (ex, ey) = (px - (along * dx), py - (along * dy));
                var distance = (ex * ex) + (ey * ey);
                if (distance < reach * reach)
                    row[x] = Math.Max(row[x], r0 + (along * dr) - Math.Sqrt(distance));
            }
        }
    }

    /// <summary>Writes the image; 0 is no ink and 255 is full ink.</summary>
    public void CopyTo(Span<byte> pixels)
    {
        var inverse = 1.0 / _softness;
        for (var i = 0; i < pixels.Length; i++)
        {
            var ink = Math.Clamp((_depth[i] * inverse) + 0.5, 0.0, 1.0);
            pixels[i] = (byte)((255.0 * ink * ink * (3.0 - (2.0 * ink))) + 0.5);
        }
    }

    /// <summary>Returns the first pixel whose centre is at or after a position.</summary>
    private static int First(double position) => Math.Max((int)Math.Ceiling(position - 0.5), 0);

    /// <summary>Returns the last pixel whose centre is at or before a position.</summary>
    private int Last(double position) => Math.Min((int)Math.Floor(position - 0.5), _size - 1);
}
