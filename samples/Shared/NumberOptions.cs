using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace Samples;

/// <summary>Options with numbers, which are checked when the command line is parsed.</summary>
internal static class NumberOptions
{
    /// <summary>
    /// Accepts only numbers of at least <paramref name="least"/>, and only multiples of <paramref name="factor"/> if it is set.
    /// </summary>
    public static void Check<T>(Option<T> option, T? least = null, T? factor = null)
        where T : struct, INumber<T>
    {
        option.HelpName = Describe(least, factor);
        option.CustomParser = result => Parse(result, result.Tokens[0].Value, option.Name, least, factor);
    }

    /// <inheritdoc cref="Check{T}(Option{T}, T?, T?)"/>
    public static void Check<T>(Option<T?> option, T? least = null, T? factor = null)
        where T : struct, INumber<T>
    {
        option.HelpName = Describe(least, factor);
        option.CustomParser = result => Parse(result, result.Tokens[0].Value, option.Name, least, factor);
    }

    /// <inheritdoc cref="Check{T}(Option{T}, T?, T?)"/>
    public static void CheckEach<T>(Option<T[]> option, T least)
        where T : struct, INumber<T>
    {
        option.HelpName = "numbers: " + Describe<T>(least, null);
        option.CustomParser = result => [.. result.Tokens.Select(token => Parse<T>(result, token.Value, option.Name, least, null))];
    }

    private static T Parse<T>(ArgumentResult result, string text, string name, T? least, T? factor)
        where T : struct, INumber<T>
    {
        var isReal = typeof(T) == typeof(double);
        if (T.TryParse(text, isReal ? NumberStyles.Float : NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
            && T.IsFinite(value) && (least is null || value >= least) && (factor is null || T.IsZero(value % factor.Value)))
            return value;
        result.AddError($"{name} must be a {Describe(least, factor)}, got '{text}'.");
        return default;
    }

    // build.sh reads these texts in the help of a sample, to check options before the sample is built.
    private static string Describe<T>(T? least, T? factor)
        where T : struct, INumber<T>
        => (typeof(T) == typeof(double) ? "number" : "whole number")
            + (least is null ? "" : $" of at least {least}") + (factor is null ? "" : $" and a multiple of {factor}");
}
