using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

public sealed partial class RunReportTests : IDisposable
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _lines = [];

    private string Page => _folder.File(RunReport.ReportName);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_page_shows_charts_samples_events_options_and_environment()
    {
        Event(0, "started", ("batch_size", "64"), ("device", "cpu"), ("runtime", ".NET <&> \u0001"));
        for (var step = 10; step <= 1000; step += 10)
        {
            Report(step, 1.0 / step);
            if (step % 100 == 0)
            {
                Line(step, "metric", ("name", "validation_loss"), ("value", 2.0 / step));
                Picture(step, (byte)(step / 10));
            }
        }

        Event(1000, "saved", ("checkpoint", "step-00001000"));
        Event(1000, "finished");
        var page = Write();

        Texts(page, "h1").Should().Equal(Path.GetFileName(_folder.Path));
        Texts(page, "h2").Should().Equal(
            "Loss", "Loss by quarter of time", "validation_loss", "vlb", "Gradient norm", "Learning rate", "Speed", "Waiting for data",
            "samples", "Events", "Options", "Environment");
        page.Descendants("header").Single().Value.Should().Contain("Finished at step 1,000");
        Texts(page, "dd").Should().Contain("0.001");
        var axes = page.Descendants(Svg + "text").Select(text => text.Value).ToHashSet();
        axes.Should().Contain(["step", "mean loss", "samples per second", "first, least noise", "last, most noise"]);
        Texts(page, "td").Should().Contain(["batch size", "64", "cpu", ".NET <&> \uFFFD", "saved: step-00001000", "finished", "started"]);
        var images = page.Descendants("img").ToArray();
        images.Should().HaveCount(10);
        images[0].Attribute("alt")!.Value.Should().Be("samples at step 100");
        images[0].Attribute("src")!.Value.Should().Be($"data:image/png;base64,{Convert.ToBase64String(File.ReadAllBytes(_folder.File("samples/100.png")))}");
        page.Descendants("input").Count(input => input.Attribute("type")!.Value == "range").Should().Be(1);
    }

    [Fact]
    public void A_page_needs_nothing_but_itself()
    {
        Event(0, "started", ("device", "cpu"));
        Report(10, 0.5);
        Picture(10, 1);
        var page = Write();
        var text = File.ReadAllText(Page);

        text.Should().StartWith("<!DOCTYPE html>");
        Address().Matches(text).Select(match => match.Value).Distinct().Should().Equal("http://www.w3.org/2000/svg");
        text.Should().NotContain("url(").And.NotContain("@import").And.NotContain("file:").And.NotContain(_folder.Path);
        page.Descendants("link").Should().BeEmpty();
        page.Descendants("script").Single().Attributes().Should().BeEmpty();
        page.Descendants().SelectMany(element => element.Attributes())
            .Where(attribute => attribute.Name.LocalName is "src" or "href")
            .Should().OnlyContain(attribute => attribute.Value.StartsWith("data:image/png;base64,"));
        text.Should().Contain("prefers-color-scheme:dark");

        // An element without content that HTML does not know as such would swallow what follows.
        string[] empty = ["meta", "img", "input"];
        page.Descendants().Where(element => element.Name.Namespace == XNamespace.None && element.IsEmpty)
            .Should().OnlyContain(element => empty.Contains(element.Name.LocalName));
    }

    [Fact]
    public void Losses_are_drawn_on_a_logarithmic_axis_that_can_be_changed_without_a_script()
    {
        Report(10, 0.5);
        Report(20, 0.25);
        Report(30, 0.125);
        var loss = Write().Descendants("section").First();

        loss.Elements("input").Single().Attribute("checked")!.Value.Should().Be("checked");
        loss.Elements("label").Single().Attribute("for")!.Value.Should().Be(loss.Elements("input").Single().Attribute("id")!.Value);
        loss.Elements("div").Select(div => div.Attribute("class")!.Value).Should().Equal("log", "linear");
        var heights = loss.Elements("div").Select(Heights).ToArray();
        (heights[0][2] - heights[0][1]).Should().BeApproximately(heights[0][1] - heights[0][0], 0.02, "halves are equally far apart");
        (heights[1][1] - heights[1][0]).Should().BeApproximately(2 * (heights[1][2] - heights[1][1]), 0.02);

        static double[] Heights(XElement div) => [.. Points(div.Descendants(Svg + "path").Single())];
    }

    [Fact]
    public void Long_runs_are_thinned_for_drawing_and_keep_their_extremes()
    {
        for (var step = 1; step <= 12_000; step++)
            Report(step, step == 7_777 ? 50.0 : 1.0 + (0.1 * Math.Sin(step)));
        for (var step = 100; step <= 12_000; step += 100)
            Picture(step, 3);
        var page = Write();

        var lines = page.Descendants("section").First().Elements("div").Last().Descendants(Svg + "path").ToArray();
        lines.Should().HaveCount(2, "the values and their mean");
        var heights = Points(lines[0]).ToArray();
        heights.Length.Should().BeLessThan(1_500);
        (heights.Order().ElementAt(1) - heights.Min()).Should().BeGreaterThan(200, "one value stands out, and is still there");
        page.Descendants("img").Should().HaveCount(32);
        page.Descendants("img").First().Attribute("alt")!.Value.Should().Be("samples at step 100");
        page.Descendants("img").Last().Attribute("alt")!.Value.Should().Be("samples at step 12,000");
        new FileInfo(Page).Length.Should().BeLessThan(1_000_000);
    }

    [Fact]
    public void A_run_that_went_wrong_says_so()
    {
        Event(0, "started", ("device", "cpu"));
        Report(10, double.NaN, skipped: 3);
        Event(10, "resumed", ("device", "cuda:0"));
        Report(20, double.NaN, skipped: 10);
        Event(20, "diverged", ("reason", "The last 10 steps"));
        var page = Write();

        Texts(page, "h2").Should().NotContain("Loss", "there is nothing to draw");
        page.Descendants("header").Single().Value.Should().Contain("Diverged at step 20");
        Texts(page, "td").Should().Contain(
            ["skipped 3 steps that were not finite", "skipped 7 steps that were not finite", "diverged: The last 10 steps", "resumed", "cuda:0"]);
    }

    [Fact]
    public void A_run_of_which_nothing_is_known_has_a_page_too()
    {
        Write().Descendants("header").Single().Value.Should().Contain("Nothing");
    }

    [Fact]
    public void A_picture_that_is_gone_is_left_out()
    {
        Picture(10, 1);
        Picture(20, 2);
        File.Delete(_folder.File("samples/10.png"));

        Write().Descendants("img").Should().ContainSingle().Which.Attribute("alt")!.Value.Should().Be("samples at step 20");
    }

    [Fact]
    public void A_picture_outside_of_the_folder_of_the_run_is_left_out()
    {
        using var outside = new TemporaryFolder();
        PngWriter.Save(outside.File("a.png"), [1, 2, 3, 4], 2, 2, 1);
        Picture(10, 1);
        Line(20, "image", ("name", "samples"), ("path", $"../{Path.GetFileName(outside.Path)}/a.png"));
        Line(30, "image", ("name", "samples"), ("path", outside.File("a.png")));
        var expected = 2;
        if (!OperatingSystem.IsWindows())
        {
            File.CreateSymbolicLink(_folder.File("link.png"), outside.File("a.png"));
            Directory.CreateSymbolicLink(_folder.File("far"), outside.Path);
            File.CreateSymbolicLink(_folder.File("near.png"), "samples/10.png");
            Line(40, "image", ("name", "samples"), ("path", "link.png"));
            Line(50, "image", ("name", "other"), ("path", "far/a.png"));
            Line(60, "image", ("name", "samples"), ("path", "near.png"));
            expected = 4;
        }

        var page = Write();

        page.Descendants("img").Select(image => image.Attribute("src")!.Value).Distinct().Should().ContainSingle()
            .Which.Should().EndWith(Convert.ToBase64String(File.ReadAllBytes(_folder.File("samples/10.png"))));
        Texts(page, "p").Should().ContainSingle(text => text.Contains($"{expected} images are not shown"));
        File.ReadAllText(Page).Should().NotContain(outside.Path);
    }

    [Theory]
    [InlineData(UnreadableFile.Folder)]
    [InlineData(UnreadableFile.Pipe)]
    [InlineData(UnreadableFile.Device)]
    public void A_picture_that_is_not_a_file_is_left_out(string kind)
    {
        UnreadableFile.Create(_folder.File("x.png"), kind);
        Line(10, "image", ("name", "samples"), ("path", "x.png"));

        Write().Descendants("img").Should().BeEmpty();
    }

    [Theory]
    [InlineData("null")]
    [InlineData("\"\"")]
    [InlineData("\" \"")]
    [Trait(Category.Name, Category.Fault)]
    public void A_record_without_a_name_is_refused_by_its_line(string name)
    {
        foreach (var kind in (string[])["event", "metric", "image"])
        {
            Report(10, 0.5);
            Line(20, kind, ("name", JsonNode.Parse(name)!), ("value", 1.0), ("path", "a.png"));
            FluentActions.Invoking(Write).Should().Throw<InvalidDataException>(kind).WithMessage("Line 2 of*");
            _lines.Clear();
        }
    }

    [Fact]
    public void Texts_that_xml_cannot_contain_are_shown_without_the_characters()
    {
        const string text = "\"\\u0000\"";
        JsonNode Text() => JsonNode.Parse(text)!;
        Report(10, 0.5);
        Line(20, "event", ("name", Text()), ("details", new JsonObject { ["reason"] = Text() }));
        Line(25, "event", ("name", "stopped"), ("details", new JsonObject { ["reason"] = Text() }));
        Line(30, "metric", ("name", Text()), ("value", 1.0));
        Line(40, "metric", ("name", Text()), ("value", 2.0));
        Line(50, "image", ("name", Text()), ("path", Text()));
        Line(60, "event", ("name", "started"), ("details", new JsonObject()));
        Line(70, "event", ("name", Text()));

        Write().Descendants("header").Single().Value.Should().Contain("at step 70");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_damaged_file_is_refused_and_the_page_before_stays()
    {
        Report(10, 0.5);
        Write();
        var before = File.ReadAllText(Page);
        File.AppendAllText(_folder.File(RunReport.MetricsName), "nonsense\n");

        FluentActions.Invoking(() => RunReport.Write(_folder.Path)).Should().Throw<InvalidDataException>().WithMessage("Line 2 of*");
        File.ReadAllText(Page).Should().Be(before);
        FluentActions.Invoking(() => RunReport.Write(_folder.File("none"))).Should().Throw<IOException>();
    }

    private static IEnumerable<double> Points(XElement path) => Height().Matches(path.Attribute("d")!.Value)
        .Select(match => double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));

    private static List<string> Texts(XDocument page, string name) => [.. page.Descendants(name).Select(element => element.Value)];

    [GeneratedRegex("(?:https?|ftp):[^\"'< ]*|[\"'(]//[^\"'< ]*")]
    private static partial Regex Address();

    [GeneratedRegex(@"[ML][0-9.]+ ([0-9.]+)")]
    private static partial Regex Height();

    private XDocument Write()
    {
        File.WriteAllLines(_folder.File(RunReport.MetricsName), _lines);
        RunReport.Write(_folder.Path);
        return XDocument.Parse(File.ReadAllText(Page));
    }

    private void Report(int step, double loss, int skipped = 0) => Line(
        step, "report", ("loss", Number(loss)), ("learning_rate", 1e-3), ("gradient_norm", 1.5), ("samples_per_second", 100.0), ("seconds_per_step", 0.64),
        ("data_wait", 0.01), ("skipped_steps", skipped),
        ("metrics", new JsonObject { ["loss_q0"] = Number(2 * loss), ["loss_q3"] = Number(loss / 2), ["mse"] = Number(loss), ["vlb"] = 0.25 }));

    private static JsonValue Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : JsonValue.Create(value.ToString(CultureInfo.InvariantCulture));

    private void Event(int step, string name, params (string Name, string Text)[] details)
        => Line(step, "event", ("name", name), ("details", new JsonObject(details.Select(detail => KeyValuePair.Create(detail.Name, (JsonNode?)detail.Text)))));

    private void Picture(int step, byte grey)
    {
        PngWriter.Save(_folder.File($"samples/{step}.png"), [grey, grey, grey, grey], 2, 2, 1);
        Line(step, "image", ("name", "samples"), ("path", $"samples/{step}.png"));
    }

    private void Line(int step, string kind, params (string Name, JsonNode Value)[] values)
    {
        var line = new JsonObject { ["kind"] = kind, ["step"] = step, ["epoch"] = step / 100.0 };
        foreach (var (name, value) in values)
            line[name] = value;
        line["time"] = "2026-01-02T03:04:05Z";
        _lines.Add(line.ToJsonString());
    }
}
