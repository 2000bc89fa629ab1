using System.Globalization;
using System.Xml.Linq;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

public sealed class LineChartTests : IDisposable
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    private readonly TemporaryFolder _folder = new();

    private string Path => _folder.File("loss.svg");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_straight_line_is_drawn_straight_from_corner_to_corner()
    {
        LineChart.SaveSvg(Path, [new LineSeries("y = x", [0, 1, 2, 3, 4], [0, 1, 2, 3, 4])]);

        var points = Points(Paths().Single()).Single();
        points.Should().HaveCount(5);
        points[0].X.Should().Be(76);
        points[^1].X.Should().Be(780);
        var slope = (points[^1].Y - points[0].Y) / (points[^1].X - points[0].X);
        slope.Should().BeNegative("up is towards 0 in a picture");
        points.Should().AllSatisfy(p => p.Y.Should().BeApproximately(points[0].Y + (slope * (p.X - 76)), 0.01));
    }

    [Fact]
    public void On_a_logarithmic_axis_a_power_law_in_steps_is_straight_and_ticks_are_powers()
    {
        var x = Enumerable.Range(0, 50).Select(i => (double)i).ToArray();
        LineChart.SaveSvg(Path, [new LineSeries("decay", x, [.. x.Select(i => Math.Pow(10, -i / 10))])], new LineChartOptions { LogScale = true });

        var points = Points(Paths().Single()).Single();
        var slope = (points[^1].Y - points[0].Y) / (points[^1].X - points[0].X);
        points.Should().AllSatisfy(p => p.Y.Should().BeApproximately(points[0].Y + (slope * (p.X - points[0].X)), 0.02));
        Texts().Should().Contain(["1", "0.1", "0.01", "0.001", "1e-4"]);
    }

    [Fact]
    public void Smoothing_draws_the_values_light_and_their_mean_bold()
    {
        LineChart.SaveSvg(Path, [new LineSeries("loss", [0, 1, 2], [4, 1, 1], smoothing: 0.5)]);

        var paths = Paths();
        paths.Should().HaveCount(2);
        Number(paths[0], "stroke-opacity").Should().BeLessThan(Number(paths[1], "stroke-opacity"));
        Number(paths[0], "stroke-width").Should().BeLessThan(Number(paths[1], "stroke-width"));
        paths[0].Attribute("stroke")!.Value.Should().Be(paths[1].Attribute("stroke")!.Value);
    }

    [Fact]
    public void The_running_mean_is_that_of_the_formula_and_passes_over_gaps()
    {
        // Weights 1/2, 1/4, ... of the newest, divided by their sum: 4; (1 + 4/2) / 1.5; (1 + 1/2 + 4/4) / 1.75.
        new LineSeries("", [0, 1, 2, 3], [4, 1, double.NaN, 1], 0.5).Smooth().Should().Equal(4.0, 2.0, 2.0, 2.5 / 1.75);
        new LineSeries("", [0, 1], [double.NaN, 3], 0.9).Smooth()[0].Should().Be(double.NaN);
    }

    [Fact]
    public void Values_that_are_not_finite_are_gaps_and_a_point_alone_is_seen()
    {
        LineChart.SaveSvg(Path, [new LineSeries("loss", [0, 1, 2, 3, 4, 5, 6], [1, 2, double.NaN, 3, double.PositiveInfinity, 4, 5])]);

        var pieces = Points(Paths().Single());
        pieces.Select(piece => piece.Length).Should().Equal(2, 1, 2);
        Paths().Single().Attribute("d")!.Value.Should().Contain("h0", "a line of no length is a dot");
    }

    [Fact]
    public void A_long_line_keeps_its_peaks_with_few_points()
    {
        var x = Enumerable.Range(0, 100_000).Select(i => (double)i).ToArray();
        var y = x.Select(i => i == 54_321 ? 100.0 : i == 12_345 ? -100.0 : Math.Sin(i / 5000)).ToArray();
        LineChart.SaveSvg(Path, [new LineSeries("loss", x, y)]);

        var points = Points(Paths().Single()).Single();
        points.Should().HaveCountLessThan(1500);
        points.Should().BeInAscendingOrder(p => p.X);
        points.MinBy(p => p.Y).X.Should().BeApproximately(76 + (704 * 0.54321), 1);
        points.MaxBy(p => p.Y).X.Should().BeApproximately(76 + (704 * 0.12345), 1);
    }

    [Theory]
    [InlineData(0, 1, new[] { "0", "0.2", "0.4", "0.6", "0.8", "1" })]
    [InlineData(-3, 9, new[] { "-2", "0", "2", "4", "6", "8" })]
    [InlineData(0.0301, 0.0309, new[] { "0.0302", "0.0304", "0.0306", "0.0308" })]
    [InlineData(0, 40_000_000, new[] { "0", "1e7", "2e7", "3e7", "4e7" })]
    [InlineData(5, 5, new[] { "3", "4", "5", "6", "7" })]
    [InlineData(0, 0, new[] { "0" })]
    public void Ticks_are_round_numbers(double low, double high, string[] labels)
    {
        LineChart.SaveSvg(Path, [new LineSeries("", [0, 1], [low, high])]);

        Texts(anchor: "end").Should().Contain(labels).And.OnlyHaveUniqueItems().And.NotContain("-0").And.HaveCountLessThan(10);
    }

    [Fact]
    public void Names_are_in_a_legend_only_where_there_are_several_and_text_is_escaped()
    {
        LineChart.SaveSvg(Path, [new LineSeries("alone", [0, 1], [0, 1])], new LineChartOptions { Title = "a < b & \"c\"", XLabel = "step", YLabel = "loss" });
        Texts().Should().Contain(["a < b & \"c\"", "step", "loss"]).And.NotContain("alone");

        LineChart.SaveSvg(Path, [new LineSeries("<one>", [0, 1], [0, 1]), new LineSeries("two", [0, 2], [3, 1])]);
        Texts().Should().Contain(["<one>", "two"]);
        Paths().Select(path => path.Attribute("stroke")!.Value).Should().OnlyHaveUniqueItems();
    }

    [Fact]
    public void On_two_logarithmic_axes_a_power_law_is_straight_and_points_at_0_are_gaps()
    {
        double[] x = [0, 10, 20, 40, 80, 160, 320];
        LineChart.SaveSvg(Path, [new LineSeries("order 2", x, [.. x.Select(n => 100.0 / (n * n))])], new LineChartOptions { LogScale = true, LogX = true });

        var points = Points(Paths().Single()).Single();
        points.Should().HaveCount(6);
        points[0].X.Should().Be(76);
        points[^1].X.Should().Be(780);
        points.Zip(points.Skip(1), (a, b) => b.X - a.X).Should().AllSatisfy(step => step.Should().BeApproximately(704.0 / 5.0, 0.02));
        points.Zip(points.Skip(1), (a, b) => b.Y - a.Y).Should().AllSatisfy(
            step => step.Should().BeApproximately((points[^1].Y - points[0].Y) / 5.0, 0.02));
        Texts(anchor: "middle").Should().Contain(["10", "20", "50", "100", "200"]);
    }

    [Fact]
    public void Markers_are_dots_at_the_points_that_are_shown()
    {
        LineChart.SaveSvg(Path, [new LineSeries("grid", [0, 1, 2, 3], [1, 2, double.NaN, 4]) { HasMarkers = true }]);

        var dots = XDocument.Load(Path).Descendants(Svg + "circle").Select(dot => (Number(dot, "cx"), Number(dot, "cy"))).ToArray();
        dots.Should().Equal(Points(Paths().Single()).SelectMany(piece => piece));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(18)]
    public void Several_lines_are_told_apart_and_named_beside_the_picture(int count)
    {
        LineChart.SaveSvg(Path, [.. Enumerable.Range(0, count).Select(i => new LineSeries($"line {i}", [0, 1], [0, i]))]);

        var picture = XDocument.Load(Path).Root!;
        Paths().Select(path => (path.Attribute("stroke")!.Value, path.Attribute("stroke-dasharray")?.Value)).Should().OnlyHaveUniqueItems();
        var names = picture.Descendants(Svg + "text").Where(text => text.Value.StartsWith("line", StringComparison.Ordinal)).ToArray();
        names.Should().HaveCount(count);
        names.Should().AllSatisfy(name => Number(name, "x").Should().BeGreaterThan(780));
        names.Should().AllSatisfy(name => Number(name, "y").Should().BeInRange(44, 364));
        names.Zip(names.Skip(1), (a, b) => Number(b, "y") - Number(a, "y")).Should().AllSatisfy(apart => apart.Should().BeGreaterThan(13));
        Number(picture, "width").Should().BeGreaterThan(780 + 33 + (7 * "line 1".Length));
    }

    [Fact]
    public void The_same_values_give_the_same_bytes_under_any_culture()
    {
        var before = CultureInfo.CurrentCulture;
        var german = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        (german.NumberFormat.NumberDecimalSeparator, german.NumberFormat.NumberGroupSeparator) = (",", ".");
        LineSeries[] series = [new("loss", [0, 1000, 2500], [0.25, 0.125, 0.1], 0.5)];
        LineChart.SaveSvg(Path, series);
        try
        {
            CultureInfo.CurrentCulture = german;
            LineChart.SaveSvg(_folder.File("again.svg"), series);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        File.ReadAllBytes(_folder.File("again.svg")).Should().Equal(File.ReadAllBytes(Path));
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Nothing_to_show_and_lines_that_do_not_fit_are_refused()
    {
        Refuse(() => LineChart.SaveSvg(Path, []), "*at least one finite*");
        Refuse(() => LineChart.SaveSvg(Path, [new LineSeries("", [1], [double.NaN])]), "*at least one finite*");
        Refuse(() => LineChart.SaveSvg(Path, [new LineSeries("", [1], [0])], new LineChartOptions { LogScale = true }), "*at least one positive*");
        Refuse(() => LineChart.SaveSvg(Path, [new LineSeries("", [1], [0])], new LineChartOptions { Title = "\u0001" }), "*");
        Refuse(() => _ = new LineSeries("", [1, 2], [1]), "*2 x*1*");
        Refuse(() => _ = new LineSeries("", [2, 1], [1, 1]), "*descend*position 1*");
        Refuse(() => _ = new LineSeries("", [double.NaN], [1]), "*finite*position 0*");
        Refuse(() => _ = new LineSeries("", [1], [1], 1.0), "*[0, 1)*");
        Directory.GetFileSystemEntries(_folder.Path).Should().BeEmpty();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_place_that_cannot_be_written_is_named()
    {
        File.WriteAllText(_folder.File("file"), "");

        var save = () => LineChart.SaveSvg(System.IO.Path.Combine(_folder.File("file"), "loss.svg"), [new LineSeries("", [0, 1], [0, 1])]);

        save.Should().Throw<IOException>().WithMessage("Cannot write*loss.svg*");
    }

    private static void Refuse(Action act, string message) => act.Should().Throw<ArgumentException>().WithMessage(message);

    private static double Number(XElement element, string attribute)
        => double.Parse(element.Attribute(attribute)!.Value, CultureInfo.InvariantCulture);

    /// <summary>The connected pieces of a path.</summary>
    private static (double X, double Y)[][] Points(XElement path)
        => [.. path.Attribute("d")!.Value.Split('M', StringSplitOptions.RemoveEmptyEntries).Select(piece => piece.Replace("h0", "", StringComparison.Ordinal)
            .Split('L')
            .Select(point => point.Split(' '))
            .Select(xy => (double.Parse(xy[0], CultureInfo.InvariantCulture), double.Parse(xy[1], CultureInfo.InvariantCulture)))
            .ToArray())];

    private XElement[] Paths() => [.. XDocument.Load(Path).Descendants(Svg + "path")];

    private string[] Texts(string? anchor = null)
        => [.. XDocument.Load(Path).Descendants(Svg + "text")
            .Where(text => anchor is null || text.Attribute("text-anchor")!.Value == anchor)
            .Select(text => text.Value)];
}
