namespace Diffusion.Core.Data;

/// <summary>A part of an image that may first be widened.</summary>
/// <param name="Height">Rows of the part.</param>
/// <param name="Width">Columns of the part.</param>
/// <param name="Padding">Rows and columns added on each side.</param>
/// <param name="Fill">The value of what is added; null for reflection without the edge itself.</param>
/// <param name="Random">Whether at a random place, or else in the middle.</param>
internal sealed record Crop(int Height, int Width, int Padding, float? Fill, bool Random) : IAugmentation
{
    public bool MovesPixels => true;

    public IReadOnlyList<long> OutputShape(IReadOnlyList<long> shape)
    {
        if (shape is not [_, _, _])
            throw new ArgumentException($"Only images [C, H, W] can be cropped, got {Guard.Format([.. shape])}.", nameof(shape));
        if (Height > shape[1] + (2L * Padding) || Width > shape[2] + (2L * Padding))
            throw new ArgumentException(
                $"A part of {Height} x {Width} does not fit into {shape[1]} x {shape[2]} with a padding of {Padding}.", nameof(shape));
        if (Fill is null && Padding >= Math.Min(shape[1], shape[2]))
            throw new ArgumentException(
                $"Reflection adds less than the image has: the padding of {shape[1]} x {shape[2]} must be at most "
                    + $"{Math.Min(shape[1], shape[2]) - 1}, got {Padding}.",
                nameof(shape));
        return [shape[0], Height, Width];
    }

    public void Apply(ReadOnlySpan<float> source, IReadOnlyList<long> shape, Span<float> result, ref SplitMix64 random)
    {
        var (channels, height, width) = ((int)shape[0], (int)shape[1], (int)shape[2]);
        var (spareRows, spareColumns) = (height + (2 * Padding) - Height, width + (2 * Padding) - Width);
        var top = (Random ? random.Below(spareRows + 1) : spareRows / 2) - Padding;
        var left = (Random ? random.Below(spareColumns + 1) : spareColumns / 2) - Padding;
        for (var channel = 0; channel < channels; channel++)
        {
            var plane = source.Slice(channel * height * width, height * width);
            for (var y = 0; y < Height; y++)
            {
                var row = result.Slice(((channel * Height) + y) * Width, Width);
                if (Fill is { } fill && (top + y < 0 || top + y >= height))
                    row.Fill(fill);
                else
                    CopyRow(plane.Slice(Reflect(top + y, height) * width, width), left, row);
            }
        }
    }

    private void CopyRow(ReadOnlySpan<float> source, int left, Span<float> row)
    {
        for (var x = 0; x < row.Length; x++)
        {
            var at = left + x;
            row[x] = Fill is { } fill && (at < 0 || at >= source.Length) ? fill : source[Reflect(at, source.Length)];
        }
    }

    private static int Reflect(int at, int length) => at < 0 ? -at : at >= length ? (2 * (length - 1)) - at : at;
}
