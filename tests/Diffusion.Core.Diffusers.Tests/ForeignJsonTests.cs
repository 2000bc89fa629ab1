using System.Diagnostics;
using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>Files whose values are of other types than expected.</summary>
[Trait(Category.Name, Category.Fault)]
public class ForeignJsonTests
{
    [Theory]
    [InlineData("""{"_class_name": "UNet2DModel", "sample_size": []}""", "*'sample_size' must be*[]*")]
    [InlineData("""{"_class_name": "UNet2DModel", "block_out_channels": []}""", "*'block_out_channels' must be*[]*")]
    [InlineData("""{"_class_name": "UNet2DModel", "block_out_channels": [null]}""", "*'block_out_channels' must be*null*")]
    [InlineData("""{"_class_name": "UNet2DModel", "act_fn": 3}""", "*'act_fn' must be text, got 3*")]
    [InlineData("""{"_class_name": "UNet2DConditionModel", "only_cross_attention": [1, 2, 3, 4]}""", "*'only_cross_attention' must be*")]
    [InlineData("""{"_class_name": "UNet2DModel", "in_channels": 1e300}""", "*'in_channels' must be a whole number*")]
    [InlineData("""{"_class_name": "UNet2DModel", "act_fn": "\ud800"}""", "*must be JSON*")]
    [InlineData("""{"_class_name": "UNet2DModel", "\ud800": 1}""", "*must be JSON*")]
    [InlineData("""{"_class_name": ["UNet2DModel"]}""", "*must name its class*")]
    [InlineData("""{"architectures": [{}]}""", "*must name its class*")]
    [InlineData("""{"_class_name": "UNet2DModel", "in_channels": 3, "in_channels": 3}""", "*in_channels*")]
    [InlineData("""{"_class_name": "AutoencoderKL", "block_out_channels": []}""", "*")]
    [InlineData("""{"_class_name": "AutoencoderKL", "latents_mean": [null]}""", "*'latents_mean' must be*")]
    public void A_network_configuration_is_refused_with_its_file_and_setting(string json, string message)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("config.json"), json);
        using (var values = ones([1]))
            Safetensors.Save(folder.File("diffusion_pytorch_model.safetensors"), [new("x", values)]);

        FluentActions.Invoking(() => DiffusersModel.Load(folder.Path)).Should().Throw<InvalidDataException>()
            .WithMessage(message).WithMessage($"*{folder.Path}*");
    }

    [Fact]
    public void A_setting_without_a_name_is_an_unknown_one()
        => ModelConfig.Parse("""{"_class_name": "X", "": 1}""").Unread.Should().Equal("");

    [Theory]
    [InlineData("""{"_class_name": ""}""", "*must name its class*")]
    [InlineData("""{"_class_name": 1}""", "*must name its class*got 1*")]
    [InlineData("""{"_class_name": "DDPMScheduler", "num_train_timesteps": 100000000}""", "*_timesteps' must be*from 1 to 1000000, got*")]
    [InlineData("""{"_class_name": "DDPMScheduler", "num_train_timesteps": 0}""", "*'num_train_timesteps' must be*from 1*")]
    [InlineData("""{"_class_name": "CMStochasticIterativeScheduler", "num_train_timesteps": 1e8}""", "*'num_train_timesteps' must be*")]
    [InlineData("""{"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": -1}""", "*'num_train_timesteps' must be*")]
    [InlineData("""{"_class_name": "DDPMScheduler", "trained_betas": [0.1], "rescale_betas_zero_snr": true}""", "*_snr' must be*")]
    [InlineData("""{"_class_name": "DDPMScheduler", "trained_betas": [0.1, "x"]}""", "*'trained_betas' must be*")]
    public void A_scheduler_configuration_is_refused_with_its_file_and_setting(string json, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("scheduler_config.json");
        File.WriteAllText(path, json);

        FluentActions.Invoking(() => DiffusersScheduler.CreateSampler(SchedulerConfig.Read(path), 10))
            .Should().Throw<InvalidDataException>().WithMessage(message).WithMessage($"*{path}*");
    }

    [Theory]
    [InlineData("1000000000")]
    [InlineData("[16, -1]")]
    [InlineData("0")]
    public void A_sample_size_out_of_range_is_refused_before_sampling(string size)
    {
        using var folder = new TemporaryFolder();
        using (var saved = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline")))
            saved.Save(folder.Path);
        var path = folder.File("unet/config.json");
        var config = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        config["sample_size"] = JsonNode.Parse(size);
        File.WriteAllText(path, config.ToJsonString());

        FluentActions.Invoking(() =>
        {
            using var pipeline = DiffusersPipeline.Load(folder.Path);
            pipeline.Sample(new PipelineRequest { Steps = 1 }, cancellationToken: TestContext.Current.CancellationToken).Dispose();
        }).Should().Throw<InvalidDataException>().WithMessage($"*{folder.Path}*")
            .Which.Message.Should().MatchRegex("sample_size|ImageSize");
    }

    [Fact]
    public void A_value_is_shortened_in_a_message()
    {
        var config = SchedulerConfig.Parse($$"""{"_class_name": "DDPMScheduler", "beta_start": "{{new string('x', 100_000)}}"}""");

        config.Invoking(c => c.Number("beta_start", 0)).Should().Throw<InvalidDataException>()
            .Which.Message.Length.Should().BeLessThan(300);
    }

    [Theory]
    [InlineData("model_index.json")]
    [InlineData("unet/config.json")]
    [InlineData("unet/diffusion_pytorch_model.safetensors")]
    [InlineData("scheduler/scheduler_config.json")]
    [InlineData("unet")]
    [InlineData("scheduler")]
    public void A_missing_file_or_folder_is_a_missing_file(string name)
    {
        using var folder = new TemporaryFolder();
        using (var pipeline = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline")))
            pipeline.Save(folder.Path);
        var isFolder = Directory.Exists(folder.File(name));
        if (isFolder)
            Directory.Delete(folder.File(name), recursive: true);
        else
            File.Delete(folder.File(name));

        FluentActions.Invoking(() => DiffusersPipeline.Load(folder.Path))
            .Should().Throw<FileNotFoundException>().WithMessage($"*{folder.Path}*");
        if (isFolder)
            return;
        Directory.CreateDirectory(folder.File(name));
        FluentActions.Invoking(() => DiffusersPipeline.Load(folder.Path)).Should().Throw<FileNotFoundException>("a folder is no file");
    }

    [Fact]
    public void A_folder_in_place_of_weights_is_a_missing_file()
    {
        using var folder = new TemporaryFolder();
        FluentActions.Invoking(() => SafetensorsFile.Open(folder.Path))
            .Should().Throw<FileNotFoundException>().WithMessage("*is a folder*");
        FluentActions.Invoking(() => SafetensorsFile.Open(folder.File("none/x.safetensors"))).Should().Throw<FileNotFoundException>();
        FluentActions.Invoking(() => ModelFile.Load(folder.Path)).Should().Throw<FileNotFoundException>();
        FluentActions.Invoking(() => ModelConfig.Read(folder.File("none/config.json"))).Should().Throw<FileNotFoundException>();
        FluentActions.Invoking(() => SchedulerConfig.Read(folder.Path)).Should().Throw<FileNotFoundException>();
        FluentActions.Invoking(() => ClipText.LoadTokenizer(folder.File("none"))).Should().Throw<FileNotFoundException>();
        FluentActions.Invoking(() => DiffusionModel.Load(folder.File("none"))).Should().Throw<FileNotFoundException>();
    }

    [Theory]
    [InlineData("""["diffusers", ""]""")]
    [InlineData("""["", "UNet2DModel"]""")]
    public void A_component_without_a_class_is_refused(string component)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("model_index.json"), $$"""{"_class_name": "DDPMPipeline", "unet": {{component}}}""");

        FluentActions.Invoking(() => DiffusersPipeline.Load(folder.Path)).Should().Throw<InvalidDataException>()
            .WithMessage("*model_index.json*'unet'*");
    }

    [Fact]
    public void Text_without_an_end_takes_little_time()
    {
        var json = "{\"_class_name\":\"" + string.Concat(Enumerable.Repeat("\\\"", 1_000_000));
        var time = Stopwatch.StartNew();

        FluentActions.Invoking(() => ModelConfig.Parse(json)).Should().Throw<InvalidDataException>();

        time.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void Only_bare_numbers_are_written_without_quotes()
    {
        var config = ModelConfig.Parse("""{"_class_name": "X", "a": "\u0000, \"b\": 1", "c": -Infinity, "d": ["NaN", NaN], "e": "x\\"}""");

        config.ToJson().Should().Be("""
            {
              "_class_name": "X",
              "a": "\u0000, \"b\": 1",
              "c": -Infinity,
              "d": [
                "NaN",
                NaN
              ],
              "e": "x\\"
            }

            """.ReplaceLineEndings("\n"));
    }

    [Fact]
    public void A_text_encoder_that_is_not_supported_is_logged()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using (var pipeline = DiffusersPipelineTests.TextPipeline(SchedulerConfig.Parse("{}", "DDIMScheduler")))
            pipeline.Save(folder.Path);
        var index = JsonNode.Parse(File.ReadAllText(folder.File("model_index.json")))!.AsObject();
        index["text_encoder"] = new JsonArray("transformers", "T5EncoderModel");
        index["tokenizer"] = new JsonArray("transformers", "T5Tokenizer");
        File.WriteAllText(folder.File("model_index.json"), index.ToJsonString());
        Directory.CreateDirectory(folder.File("text_encoder"));
        Directory.CreateDirectory(folder.File("tokenizer"));
        var logger = new ListLogger();

        using var loaded = DiffusersPipeline.Load(folder.Path, new DiffusersOptions { Logger = logger });

        loaded.TextEncoder.Should().BeNull();
        logger.Warnings.Should().HaveCount(2)
            .And.Contain(text => text.Contains("T5EncoderModel")).And.Contain(text => text.Contains("T5Tokenizer"));
    }

    [Fact]
    public void A_conditional_network_is_not_saved_as_an_unconditional_pipeline()
    {
        using var folder = new TemporaryFolder();
        using var unet = new UNet(
            new UNetOptions { ImageSize = 8, Channels = 1, Width = 8, Multipliers = [1, 1], GroupNormGroups = 4, Classes = 3 });
        using var model = new DiffusionModel(unet, Schedules.DiscreteSchedule.Linear(10), Schedules.Prediction.Epsilon);

        FluentActions.Invoking(() => DiffusersPipeline.SaveModel(model, folder.File("saved"))).Should().Throw<NotSupportedException>()
            .WithMessage("*without conditions*class embedding*");
        Directory.Exists(folder.File("saved")).Should().BeFalse();
    }
}
