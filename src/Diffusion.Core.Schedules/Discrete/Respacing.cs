using System.Globalization;

namespace Diffusion.Core.Schedules;

/// <summary>
/// Methods that select the steps of a shorter process from those of a longer one, in the notation of "timestep_respacing" in
/// improved-diffusion.
/// </summary>
/// <remarks>Source: Nichol and Dhariwal 2021, section 4; the stride of "ddim" is that of Song et al. 2021, "DDIM", section D.2.</remarks>
public static class Respacing
{
    private const string StridePrefix = "ddim";

    /// <summary>
    /// Returns the steps that a text specifies: "100" for 100 steps, equally spaced from the first to the last; "10,15,20" for three
    /// parts of equal length with 10, 15 and 20 steps; "ddim50" for 50 steps with an integer stride, starting at the first step.
    /// </summary>
    /// <param name="text">The text. Numbers are in the format of the invariant culture.</param>
    /// <param name="steps">T, the number of steps of the longer process.</param>
    /// <returns>Indices in [0, T-1], in increasing order.</returns>
    /// <exception cref="FormatException">The text is in none of these formats.</exception>
    /// <exception cref="ArgumentException">
    /// A part has fewer steps than requested, or no integer stride selects the requested number of steps.
    /// </exception>
    public static int[] Parse(string text, int steps)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.StartsWith(StridePrefix, StringComparison.Ordinal)
            ? Stride(Number(text[StridePrefix.Length..], text), steps)
            : Sections(Array.ConvertAll(text.Split(','), part => Number(part, text)), steps);
    }

    /// <summary>
    /// Divides the steps into parts of equal length and returns the given number of steps of each, equally spaced from the first to
    /// the last step of the part. If one step is requested, it is the first of the part.
    /// </summary>
    /// <param name="counts">
    /// The number of steps of each part. If T is not divisible by the number of parts, the first parts have one more step than the
    /// others.
    /// </param>
    /// <param name="steps">T, the number of steps of the longer process.</param>
    /// <returns>Indices in [0, T-1], in increasing order.</returns>
    /// <exception cref="ArgumentException">
    /// There are no parts, a number is negative, or a part has fewer steps than requested.
    /// </exception>
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
                throw new ArgumentException(
                    Invariant($"Part {part} has {size} of the {steps} steps, got {counts[part]} to select."), nameof(counts));

            // The stride is added repeatedly instead of multiplied, as in improved-diffusion: rounding affects which step is selected.
            var stride = counts[part] > 1 ? (size - 1.0) / (counts[part] - 1.0) : 1.0;
            var place = 0.0;
            for (var i = 0; i < counts[part]; i++, place += stride)
                kept.Add(start + (int)Math.Round(place, MidpointRounding.ToEven));
            start += size;
        }

        return [.. kept];
    }

    /// <summary>
    /// Returns the steps 0, k, 2k, ... below T, with the smallest integer stride k that selects exactly <paramref name="count"/> of
    /// them.
    /// </summary>
    /// <param name="count">The number of steps to select.</param>
    /// <param name="steps">T, the number of steps of the longer process.</param>
    /// <returns>Indices in [0, T-1], in increasing order.</returns>
    /// <exception cref="ArgumentException">No integer stride selects that many steps.</exception>
    public static int[] Stride(int count, int steps)
    {
        Guard.Positive(steps);
        for (var stride = 1; stride <= steps; stride++)
        {
            // The quotient is rounded up, because a last, incomplete stride also starts with a step.
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
            : throw new FormatException($"The steps must have the format \"100\", \"10,15,20\" or \"ddim50\", got \"{text}\".");
    }
}
