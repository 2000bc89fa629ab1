using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

public class DiffusersPipelineTests
{
    public static TheoryData<string> Folders => FolderFixture.Pipelines;

    [Theory]
    [MemberData(nameof(Folders))]
    [Trait(Category.Name, Category.Golden)]
    public void A_pipeline_that_is_loaded_and_saved_is_the_same_to_the_byte(string folder)
    {
        using var target = new TemporaryFolder();
        var source = FolderFixture.PathOf(folder);

        using var pipeline = DiffusersPipeline.Load(source);
        pipeline.Save(target.Path);

        var expected = FolderFixture.Contents(source);
        var written = FolderFixture.Contents(target.Path);
        foreach (var beside in new[] { "io.safetensors", "training.json", "README.md" })
            expected.Remove(beside);
        written.Should().Equal(expected);
    }

    [Fact]
    [Trait(Category.Name, Category.Golden)]
    public void The_images_of_diffusers_are_reproduced()
    {
        using var scope = NewDisposeScope();
        var folder = FolderFixture.PathOf("models/ddpm-pipeline");
        var io = Safetensors.Load(Path.Combine(folder, "io.safetensors"));
        using var pipeline = DiffusersPipeline.Load(folder);

        var images = Sample(pipeline, new PipelineRequest
        {
            Noise = io["noise"],
            Scheduler = pipeline.Scheduler.As("DDIMScheduler"),
            Steps = 10,
            Call = new SchedulerCall { Eta = 0.0 },
        });

        // The images were computed in float32: PyTorch itself in double precision differs from them by 2e-4, and by 2e-5 in the mean.
        var difference = images.sub(io["images"]).abs();
        difference.max().item<float>().Should().BeLessThan(4e-4f);
        difference.mean().item<float>().Should().BeLessThan(4e-5f);
    }

    [Fact]
    public void Shape_and_steps_come_from_the_folder()
    {
        using var pipeline = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline"));
        var steps = 0;

        using var one = Sample(pipeline, new PipelineRequest { Steps = 3 }, new Counter(progress => steps = progress.Steps));
        using var several = Sample(pipeline, new PipelineRequest { Steps = 3, Count = 2, Height = 8, Width = 24 });
        using var again = Sample(pipeline, new PipelineRequest { Steps = 3 });

        one.shape.Should().Equal(1, 3, 16, 16);
        steps.Should().Be(3);
        several.shape.Should().Equal(2, 3, 8, 24);
        again.ShouldBeIdentical(one, "the seed is the same");
        one.abs().max().item<float>().Should().BeLessThanOrEqualTo(1, "the scheduler clips x_0");
    }

    [Fact]
    public void Sampling_leaves_no_tensors_behind()
    {
        using var pipeline = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline"));
        using (Sample(pipeline, new PipelineRequest { Steps = 2 }))
        {
            LiveTensors.Change(() => Sample(pipeline, new PipelineRequest { Steps = 2 }).Dispose()).Should().Be(0);
        }
    }

    [Fact]
    public void A_latent_pipeline_with_labels_is_made_saved_and_sampled()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using (var made = LatentPipeline())
            made.Save(folder.Path);

        using var pipeline = DiffusersPipeline.Load(folder.Path);
        var labelled = new PipelineRequest { Labels = [1, 3], Steps = 2 };
        var images = Sample(pipeline, labelled);
        var unguided = Sample(pipeline, labelled with { GuidanceScale = 1.0 });

        images.shape.Should().Equal(2, 3, 16, 16);
        images.isfinite().all().item<bool>().Should().BeTrue();
        images.Values().Should().NotEqual(unguided.Values());
        File.ReadAllText(folder.File("model_index.json")).Should().Be("""
            {
              "_class_name": "DiTPipeline",
              "_diffusers_version": "0.40.0.dev0",
              "scheduler": [
                "diffusers",
                "DDIMScheduler"
              ],
              "transformer": [
                "diffusers",
                "DiTTransformer2DModel"
              ],
              "vae": [
                "diffusers",
                "AutoencoderKL"
              ]
            }

            """.ReplaceLineEndings("\n"));
    }

    [Fact]
    public void Latents_are_scaled_back_before_they_are_decoded()
    {
        using var scope = NewDisposeScope();
        using var pipeline = LatentPipeline(stirred: false);
        var noise = ones([1, 4, 8, 8]);

        var images = Sample(pipeline, new PipelineRequest { Noise = noise, Labels = [0], Steps = 1, GuidanceScale = 1.0 });

        // A fresh DiT predicts zero, so that one step to no noise is a division by alpha.
        var alpha = DiffusersScheduler.CreateSampler(pipeline.Scheduler, 1).Grid!.Levels[0].Alpha;
        var latents = noise.div(alpha * 0.5);
        var expected = pipeline.Autoencoder!.Decode(latents);
        images.ShouldBeClose(expected, 1e-5, "images");
    }

    [Fact]
    public void A_text_conditional_pipeline_is_sampled_from_the_states_of_a_text_encoder()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using (var made = TextPipeline(SchedulerConfig.Parse("""{"beta_schedule": "scaled_linear", "clip_sample": false}""", "PNDMScheduler")))
            made.Save(folder.File("saved"));

        using var pipeline = DiffusersPipeline.Load(folder.File("saved"));
        pipeline.CopiedComponents.Should().BeEmpty();
        using var text = Condition.Create(encoderHiddenStates: ones([2, 5, 24]));
        using var nothing = Condition.Create(encoderHiddenStates: zeros([2, 5, 24]));
        var request = new PipelineRequest { Condition = text, Unconditional = nothing, Steps = 4, GuidanceScale = 3.0 };

        var guided = Sample(pipeline, request);

        // The same by hand: one network led away from another, in the latent space of the autoencoder.
        var model = Guidance.ClassifierFree(pipeline.Model, 3.0, _ => nothing.Slice(0, 2));
        var latents = DiffusersScheduler.CreateSampler(pipeline.Scheduler, 4).Sample(
            model, [2, 4, 8, 8], 0, text, cancellationToken: TestContext.Current.CancellationToken);
        guided.shape.Should().Equal(2, 3, 16, 16);
        guided.ShouldBeClose(pipeline.Autoencoder!.Decode(latents.div(0.18215)), 1e-5, "images");
        Sample(pipeline, request with { GuidanceScale = 1.0 }).Values().Should().NotEqual(guided.Values());
    }

    [Theory]
    [InlineData("PNDMScheduler", """{"skip_prk_steps": true}""")]
    [InlineData("DDIMScheduler", """{}""")]
    [InlineData("DDIMScheduler", """{"clip_sample": true, "steps_offset": 0}""")]
    [InlineData("DDPMScheduler", """{"clip_sample": true, "clip_sample_range": 0.5}""")]
    [InlineData("EulerDiscreteScheduler", """{"timestep_spacing": "leading"}""")]
    public void Stable_Diffusion_neither_clips_latents_nor_starts_at_index_0(string className, string settings)
    {
        using var scope = NewDisposeScope();
        var written = SchedulerConfig.Parse(settings, className);
        using var pipeline = TextPipeline(written);
        using var text = Condition.Create(encoderHiddenStates: ones([1, 5, 24]));
        var current = JsonNode.Parse(settings)!.AsObject();
        current["steps_offset"] = 1;
        current["clip_sample"] = false;
        using var expected = TextPipeline(SchedulerConfig.Parse(current.ToJsonString(), className));
        var request = new PipelineRequest { Condition = text, Steps = 5, GuidanceScale = 1.0 };

        Sample(pipeline, request).ShouldBeIdentical(Sample(expected, request), "images");

        pipeline.Scheduler.Whole("steps_offset", 1).Should().Be(1);
        pipeline.Scheduler.Flag("clip_sample", false).Should().BeFalse();
        written.ToJson().Should().NotContain("\"steps_offset\": 1", "the configuration of the caller is not changed");
        var other = pipeline.With(written.As("DDIMScheduler"));
        other.Scheduler.Flag("clip_sample", true).Should().BeFalse();
    }

    [Theory]
    [InlineData("0.8.1", 64)]
    [InlineData("0.9.0", 8)]
    [InlineData("0.40.0.dev0", 8)]
    [InlineData(null, 8)]
    public void Old_files_of_Stable_Diffusion_have_a_sample_size_of_at_least_64(string? version, int expected)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using (var made = TextPipeline(SchedulerConfig.Parse("{}", "DDIMScheduler")))
            made.Save(folder.Path);
        var path = folder.File("unet/config.json");
        var config = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        config["_diffusers_version"] = version;
        config["sample_size"] = 8;
        File.WriteAllText(path, config.ToJsonString());
        using var pipeline = DiffusersPipeline.Load(folder.Path);
        using var text = Condition.Create(encoderHiddenStates: ones([1, 5, 24]));

        var images = Sample(pipeline, new PipelineRequest { Condition = text, Steps = 1, GuidanceScale = 1.0 });

        images.shape.Should().Equal(1, 3, 2 * expected, 2 * expected);
    }

    [Theory]
    [InlineData("DDIMScheduler", "DDPMScheduler")]
    [InlineData("DDIMScheduler", null)]
    [InlineData("EulerDiscreteScheduler", "DDPMScheduler")]
    public void The_index_names_the_class_of_the_scheduler(string index, string? config)
    {
        using var folder = new TemporaryFolder();
        using (var pipeline = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline")))
            pipeline.Save(folder.Path);
        var components = JsonNode.Parse(File.ReadAllText(folder.File("model_index.json")))!.AsObject();
        components["scheduler"] = new JsonArray("diffusers", index);
        File.WriteAllText(folder.File("model_index.json"), components.ToJsonString());
        var path = folder.File("scheduler/scheduler_config.json");
        var settings = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        settings.Remove("_class_name");
        if (config is not null)
            settings["_class_name"] = config;
        File.WriteAllText(path, settings.ToJsonString());

        using var loaded = DiffusersPipeline.Load(folder.Path);

        loaded.Scheduler.ClassName.Should().Be(index);
    }

    [Fact]
    public void A_variant_is_loaded_where_a_component_has_it()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using (var made = TextPipeline(SchedulerConfig.Parse("{}", "DDIMScheduler")))
            made.Save(folder.Path);
        const string Weights = "diffusion_pytorch_model";
        var (plain, variant) = (folder.File($"unet/{Weights}.safetensors"), folder.File($"unet/{Weights}.fp16.safetensors"));
        var options = new DiffusersOptions { Variant = "fp16" };

        FluentActions.Invoking(() => DiffusersPipeline.Load(folder.Path, options)).Should().Throw<FileNotFoundException>().WithMessage("*variant 'fp16'*");
        File.Move(plain, variant);
        FluentActions.Invoking(() => DiffusersPipeline.Load(folder.Path)).Should().Throw<FileNotFoundException>().WithMessage("*Variant to fp16*");
        using var pipeline = DiffusersPipeline.Load(folder.Path, options);

        pipeline.Models.Keys.Should().BeEquivalentTo(["unet", "vae"]);
        FluentActions.Invoking(() => DiffusersModel.Load(folder.File("vae"), options)).Should().Throw<FileNotFoundException>().WithMessage("*fp16*");
    }

    [Fact]
    public void Unknown_settings_of_the_scheduler_are_logged_when_a_pipeline_is_loaded()
    {
        using var folder = new TemporaryFolder();
        using (var pipeline = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline")))
            pipeline.Save(folder.Path);
        var path = folder.File("scheduler/scheduler_config.json");
        var settings = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        settings["beta_shedule"] = "cosine";
        File.WriteAllText(path, settings.ToJsonString());
        var logger = new ListLogger();

        using var loaded = DiffusersPipeline.Load(folder.Path, new DiffusersOptions { Logger = logger });

        logger.Warnings.Should().ContainSingle().Which.Should().Contain("beta_shedule");
    }

    [Fact]
    public void Components_that_are_not_known_are_copied_and_left_out_ones_stay_so()
    {
        using var folder = new TemporaryFolder();
        using var target = new TemporaryFolder();
        using (var pipeline = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline")))
            pipeline.Save(folder.Path);
        var index = JsonNode.Parse(File.ReadAllText(folder.File("model_index.json")))!.AsObject();
        index["safety_checker"] = new JsonArray("stable_diffusion", "Checker");
        index["image_encoder"] = new JsonArray(null, null);
        index["requires_safety_checker"] = true;
        File.WriteAllText(folder.File("model_index.json"), index.ToJsonString());
        Directory.CreateDirectory(folder.File("safety_checker/sub"));
        File.WriteAllText(folder.File("safety_checker/sub/rules.txt"), "be safe");

        using (var pipeline = DiffusersPipeline.Load(folder.Path))
        {
            pipeline.CopiedComponents.Should().Equal("safety_checker");
            pipeline.Save(target.Path);
        }

        File.ReadAllText(target.File("safety_checker/sub/rules.txt")).Should().Be("be safe");
        var written = JsonNode.Parse(File.ReadAllText(target.File("model_index.json")))!.AsObject();
        JsonNode.DeepEquals(written, index).Should().BeTrue();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_pipeline_that_cannot_be_saved_leaves_the_folder_as_it_was()
    {
        using var folder = new TemporaryFolder();
        using var pipeline = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline"));
        pipeline.Save(folder.Path);
        var before = FolderFixture.Contents(folder.Path);
        using var latent = LatentPipeline();
        Directory.CreateDirectory(folder.File("vae/config.json"));

        FluentActions.Invoking(() => latent.Save(folder.Path)).Should().Throw<IOException>();

        FolderFixture.Contents(folder.Path).Should().Equal(before);
        Directory.Exists(folder.File("transformer")).Should().BeFalse();
    }

    [Theory]
    [InlineData("{\"_class_name\": \"FluxPipeline\"}", typeof(NotSupportedException), "*'FluxPipeline'*DDPMPipeline*")]
    [InlineData("{\"_class_name\": \"DDPMPipeline\"}", typeof(NotSupportedException), "*needs the component 'unet'*")]
    [InlineData("{\"unet\": [\"diffusers\", \"UNet2DModel\"]}", typeof(InvalidDataException), "*_class_name*")]
    [InlineData("{\"_class_name\": \"DDPMPipeline\", \"../x\": [\"diffusers\", \"UNet2DModel\"]}", typeof(InvalidDataException), "*'../x'*")]
    [InlineData("{\"_class_name\": \"DDPMPipeline\", \"unet\": [\"diffusers\", \"VQModel\"]}", typeof(NotSupportedException), "*needs a denoiser as its unet*VQModel*")]
    [Trait(Category.Name, Category.Fault)]
    public void An_index_that_is_no_pipeline_is_refused(string json, Type error, string message)
    {
        using var folder = new TemporaryFolder();
        using var pipeline = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline"));
        pipeline.Save(folder.Path);
        if (json.Contains("VQModel", StringComparison.Ordinal))
        {
            using var vq = DiffusersModel.Load(FolderFixture.Committed("vq"));
            vq.Save(folder.File("unet"));
        }

        File.WriteAllText(folder.File("model_index.json"), json);

        var thrown = Record.Exception(() => DiffusersPipeline.Load(folder.Path));
        thrown.Should().BeOfType(error);
        thrown!.Message.Should().Match(message);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_request_that_does_not_fit_is_refused()
    {
        using var pipeline = DiffusersPipeline.Load(FolderFixture.Committed("ddpm-pipeline"));
        using var latent = LatentPipeline();
        void Refused(DiffusersPipeline target, PipelineRequest request, string message)
            => target.Invoking(p => Sample(p, request)).Should().Throw<Exception>().Where(e => e is ArgumentException || e is NotSupportedException).WithMessage(message);

        Refused(pipeline, new PipelineRequest { Count = 2, Labels = [1] }, "*the same number of images*2, 1*");
        Refused(pipeline, new PipelineRequest { Count = 0 }, "*Count*0*");
        using var condition = Condition.OfLabels([1]);
        Refused(latent, new PipelineRequest { Labels = [1], Condition = condition }, "*give one of them*");
        Refused(pipeline, new PipelineRequest { GuidanceScale = 2 }, "*needs labels*");
        Refused(latent, new PipelineRequest { Labels = [1], Height = 15 }, "*Height*multiple of 2*15*");
    }

    private static Tensor Sample(DiffusersPipeline pipeline, PipelineRequest request, IProgress<SamplingProgress>? progress = null)
        => pipeline.Sample(request, progress, TestContext.Current.CancellationToken);

    /// <summary>Fresh weights, with which a DiT predicts zero unless they are stirred.</summary>
    private static DiffusersPipeline LatentPipeline(bool stirred = true)
    {
        random.manual_seed(5);
        var network = new DiT(new DiTOptions { ImageSize = 8, Channels = 4, OutChannels = 8, Width = 16, Depth = 1, Heads = 2, Classes = 4, NormEpsilon = 1e-5 });
        using (no_grad())
        {
            foreach (var parameter in stirred ? network.parameters() : [])
                parameter.add_(0.1);
        }

        return DiffusersPipeline.Of(
            "DiTPipeline",
            new Dictionary<string, nn.Module>
            {
                ["transformer"] = network,
                ["vae"] = new AutoencoderKL(new AutoencoderKLOptions { Body = new ConvolutionalBody { Widths = [8, 8], Groups = 4 }, ScalingFactor = 0.5 }),
            },
            SchedulerConfig.Parse("""{"clip_sample": false, "steps_offset": 0, "timestep_spacing": "trailing"}""", "DDIMScheduler"));
    }

    /// <summary>A pipeline of Stable Diffusion without a text encoder, whose networks diffusers saved.</summary>
    internal static DiffusersPipeline TextPipeline(SchedulerConfig scheduler) => DiffusersPipeline.Of(
        "StableDiffusionPipeline",
        new Dictionary<string, nn.Module>
        {
            ["unet"] = DiffusersModel.Load(FolderFixture.Committed("unet2d-condition")).Network,
            ["vae"] = DiffusersModel.Load(FolderFixture.Committed("vae-kl")).Network,
        },
        scheduler);

    private sealed class Counter(Action<SamplingProgress> report) : IProgress<SamplingProgress>
    {
        public void Report(SamplingProgress value) => report(value);
    }
}
