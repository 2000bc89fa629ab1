using System.Globalization;

namespace Diffusion.Core.Schedules;

/// <summary>Which steps of a long process a short one keeps, in the notation of improved-diffusion's "timestep_respacing".</summary>
/// <remarks>Source: Nichol and Dhariwal 2021, section 4; the stride of "ddim" is that of Song et al. 2021, "DDIM", section D.2.</remarks>
public static class Respacing
{
    private const string StridePrefix = "ddim";

    /// <summary>
    /// The steps that a text names: "100" for that many, evenly from the first to the last; "10,15,20" for as many of each of equal parts;
    /// "ddim50" for every so manieth from the first, as long as a whole stride gives that many.
    /// </summary>
    /// <param name="text">The text; numbers in the invariant culture.</param>
    /// <param name="steps">T, the steps there are.</param>
    /// <returns>Rising indices in [0, T-1].</returns>
    /// <exception cref="FormatException">The text is not one of these.</exception>
    /// <exception cref="ArgumentException">There are fewer steps than it asks for, or no whole stride gives that many.</exception>
    public static int[] Parse(string text, int steps)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.StartsWith(StridePrefix, StringComparison.Ordinal)
            ? Stride(Number(text[StridePrefix.Length..], text), steps)
            : Sections(Array.ConvertAll(text.Split(','), part => Number(part, text)), steps);
    }

    /// <summary>So many steps of each of equal parts, evenly from the first to the last of a part; one step is its first.</summary>
    /// <param name="counts">One number for each part; where T does not divide evenly, the first parts are longer by one.</param>
    /// <param name="steps">T, the steps there are.</param>
    /// <returns>Rising indices in [0, T-1].</returns>
    /// <exception cref="ArgumentException">There are no parts, or a part has fewer steps than requested.</exception>
    public static int[] Sections(ReadOnlySpan<int> counts, int steps)
    {
        Guard.Positive(steps);
        if (counts.IsEmpty)
            throw new ArgumentException("There must be at least one part, got none.", nameof(counts));
        var kept = new List<int>();
        var start = 0;
        for (var part = 0; part < counts.Length; part++)
        {
            var size = (steps / counts.Length) + (part < steps % counts.Length ? 1 : 0);
            if (counts[part] < 0 || counts[part] > size)
                throw new ArgumentException($"Part {part} has {size} of the {steps} steps, got {counts[part]} to keep.", nameof(counts));

            // The stride is added up, not multiplied, since its rounding decides which step is taken.
            var stride = counts[part] > 1 ? (size - 1.0) / (counts[part] - 1.0) : 1.0;
            var place = 0.0;
            for (var i = 0; i < counts[part]; i++, place += stride)
                kept.Add(start + (int)Math.Round(place, MidpointRounding.ToEven));
            start += size;
        }

        return [.. kept];
    }

    /// <summary>Every so manieth step from the first, by the least whole stride that gives <paramref name="count"/> of them.</summary>
    /// <param name="count">How many.</param>
    /// <param name="steps">T, the steps there are.</param>
    /// <returns>Rising indices in [0, T-1].</returns>
    /// <exception cref="ArgumentException">No whole stride gives that many.</exception>
    public static int[] Stride(int count, int steps)
    {
        Guard.Positive(steps);
        for (var stride = 1; stride <= steps; stride++)
        {
            // Rounded up: the first step counts, however short what follows the last one is.
            if ((steps + stride - 1) / stride == count)
                return [.. Enumerable.Range(0, count).Select(i => i * stride)];
        }

        throw new ArgumentException($"No whole stride takes {count} of {steps} steps.", nameof(count));
    }

    private static int Number(string part, string text)
    {
        const NumberStyles Style = NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite;
        return int.TryParse(part, Style, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new FormatException($"Steps are written as \"100\", \"10,15,20\" or \"ddim50\", got \"{text}\".");
    }
}
