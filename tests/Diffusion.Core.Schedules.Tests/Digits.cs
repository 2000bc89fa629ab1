using System.Globalization;

namespace Diffusion.Core.Schedules.Tests;

/// <summary>Comparison with a published number, to the digits it is given with.</summary>
public static class Digits
{
    public static void ShouldAgree(double actual, string published)
    {
        var expected = double.Parse(published, CultureInfo.InvariantCulture);
        var mantissa = published.Split('e')[0];
        var exponent = published.Contains('e', StringComparison.Ordinal) ? int.Parse(published.Split('e')[1], CultureInfo.InvariantCulture) : 0;
        var point = mantissa.IndexOf('.', StringComparison.Ordinal);
        var decimals = point < 0 ? 0 : mantissa.Length - point - 1;
        actual.Should().BeApproximately(expected, 0.5000001 * Math.Pow(10.0, exponent - decimals));
    }
}
