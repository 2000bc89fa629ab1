using System.Globalization;

namespace Diffusion.Core.Schedules.Tests;

/// <summary>Comparison with a published number, to the digits it is given with.</summary>
public static class Digits
{
    public static void ShouldAgree(double actual, string published)
    {
        var expected = double.Parse(published, CultureInfo.InvariantCulture);
        var parts = published.Split('e');
        var mantissa = parts[0];
        var exponent = parts.Length == 1 ? 0 : int.Parse(parts[1], CultureInfo.InvariantCulture);
        var point = mantissa.IndexOf('.', StringComparison.Ordinal);
        var decimals = point < 0 ? 0 : mantissa.Length - point - 1;
        actual.Should().BeApproximately(expected, 0.5000001 * Math.Pow(10.0, exponent - decimals));
    }
}
