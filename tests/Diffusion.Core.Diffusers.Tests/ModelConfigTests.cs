using Diffusion.Core.Testing;

namespace Diffusion.Core.Diffusers.Tests;

public class ModelConfigTests
{
    [Fact]
    public void Text_is_written_as_Python_writes_it()
    {
        // From json.dumps(value, indent=2, sort_keys=True) + "\n" of Python 3.11.
        const string Expected = """
            {
              "_class_name": "X",
              "a\"\\\n\t\u00e9\ud83d\ude00": "\u007f/<>&'+",
              "empty": {},
              "floats": [
                1e-05,
                0.0001,
                1.0,
                -0.0,
                123456.789,
                1e+16,
                1000000000000000.0,
                1.5e-07,
                2.5e+300,
                0.1
              ],
              "ints": [
                0,
                -7,
                12345678901234567890
              ],
              "nested": {
                "B": null,
                "a": [
                  [],
                  [
                    true,
                    false
                  ]
                ]
              },
              "odd": [
                Infinity,
                -Infinity,
                NaN,
                "Infinity",
                "a, NaN"
              ],
              "\ufffd": 1,
              "\ud83d\ude00": 2
            }

            """;
        var expected = Expected.Replace("\\u007f", "\u007f", StringComparison.Ordinal).ReplaceLineEndings("\n");

        ModelConfig.Parse(expected).ToJson().Should().Be(expected);
        ModelConfig.Parse("""{"b": 1E-5, "a": 100000e0, "_class_name": "X"}""").ToJson().Should().Be(
            "{\n  \"_class_name\": \"X\",\n  \"a\": 100000.0,\n  \"b\": 1e-05\n}\n");
    }

    [Fact]
    public void Floats_have_the_fewest_digits_that_give_them_back()
    {
        var random = new Random(3);
        for (var i = 0; i < 2000; i++)
        {
            var value = BitConverter.Int64BitsToDouble(random.NextInt64());
            if (!double.IsFinite(value) || value.ToString("R", System.Globalization.CultureInfo.InvariantCulture).IndexOfAny(['.', 'E']) < 0)
                continue;
            var text = ModelConfig.Parse(FormattableString.Invariant($$"""{"_class_name": "X", "x": {{value:R}}}""")).ToJson();
            var written = text.Split(": ")[^1].TrimEnd('\n', '}');
            double.Parse(written, System.Globalization.CultureInfo.InvariantCulture).Should().Be(value);
            written.Should().MatchRegex(@"^-?\d+\.\d+$|^-?\d(\.\d+)?e[+-]\d{2,3}$");
        }
    }

    [Fact]
    public void Settings_that_nothing_asks_for_are_listed_and_kept()
    {
        var config = ModelConfig.Parse("""{"_class_name": "X", "_diffusers_version": "9", "known": 3, "new": {"b": 1}, "also_new": null}""");

        config.Whole("known", 0).Should().Be(3);
        config.Flag("missing", true).Should().BeTrue();

        config.Unread.Should().Equal("also_new", "new");
        config.ToJson().Should().Contain("\"also_new\": null").And.Contain("\"b\": 1");
        config.Ignore("new");
        config.Unread.Should().Equal("also_new");
    }

    [Fact]
    public void A_configuration_of_transformers_names_its_class_among_its_architectures()
        => ModelConfig.Parse("""{"architectures": ["CLIPTextModel"], "hidden_size": 8}""").ClassName.Should().Be("CLIPTextModel");

    [Theory]
    [InlineData("{\"a\": ", "*JSON*")]
    [InlineData("[1, 2]", "*object*Array*")]
    [InlineData("null", "*object*Null*")]
    [InlineData("{\"a\": 1}", "*_class_name*architectures*")]
    [InlineData("{\"_class_name\": \"X\", \"a\": 1, \"a\": 2}", "*JSON*")]
    [Trait(Category.Name, Category.Fault)]
    public void What_is_not_a_configuration_is_refused(string json, string message)
        => FluentActions.Invoking(() => ModelConfig.Parse(json)).Should().Throw<InvalidDataException>().WithMessage(message);

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_value_that_is_not_supported_is_refused_with_its_name()
    {
        var config = ModelConfig.Parse("""{"_class_name": "X", "act_fn": "mish", "scale": 2.0, "none": null}""");

        config.Require("scale", 2);
        config.Require("none", "anything");
        config.Require("missing", "anything");
        config.Invoking(c => c.Require("act_fn", "silu", "relu")).Should().Throw<NotSupportedException>().WithMessage("*X*act_fn*\"mish\"*");
        config.Invoking(c => c.Wholes("act_fn")).Should().Throw<InvalidDataException>().WithMessage("*'act_fn'*list of whole numbers*mish*");
        config.Invoking(c => c.Texts("scale")).Should().Throw<InvalidDataException>().WithMessage("*'scale'*list of names*2.0*");
    }

    [Fact]
    public void A_scheduler_is_saved_as_it_was_read_and_turned_into_another()
    {
        using var folder = new TemporaryFolder();
        const string Json = "{\n  \"_class_name\": \"DPMSolverMultistepScheduler\",\n  \"beta_start\": 0.0001,\n  \"lambda_min_clipped\": -Infinity\n}\n";
        var config = SchedulerConfig.Parse(Json);

        config.Save(folder.File("scheduler/scheduler_config.json"));
        var other = config.As("DDIMScheduler");

        File.ReadAllText(folder.File("scheduler/scheduler_config.json")).Should().Be(Json);
        SchedulerConfig.Read(folder.File("scheduler/scheduler_config.json")).Number("lambda_min_clipped", 0).Should().Be(double.NegativeInfinity);
        other.ClassName.Should().Be("DDIMScheduler");
        other.ToJson().Should().Be(Json.Replace("DPMSolverMultistepScheduler", "DDIMScheduler", StringComparison.Ordinal));
        config.ToJson().Should().Be(Json);
    }
}
