using System.Text.Json;
using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using Diffusion.Core.Samplers;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>A Stable Diffusion of a few thousand random weights, with a vocabulary of letters.</summary>
public class PromptTests
{
    private const int Width = 12;
    private const int MaxTokens = 9;
    private const string End = "<|endoftext|>";

    private static readonly PipelineRequest _request = new() { Prompts = ["a cat", "dogs"], Steps = 3, Seed = 4, GuidanceScale = 3.0 };

    [Theory]
    [InlineData(null)]
    [InlineData("rain")]
    public void Images_are_those_of_tokens_encoder_and_conditions_put_together_by_hand(string? negative)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var pipeline = Pipeline(folder);

        var images = Sample(pipeline, _request with { NegativePrompt = negative });

        var encoder = (ClipTextEncoder)pipeline.Models["text_encoder"].Network;
        var tokenizer = ClipText.LoadTokenizer(folder.File("tokenizer"));
        Condition Told(params string[] texts) => Condition.Create(encoderHiddenStates: encoder.Encode(tokenizer.EncodeBatch(texts)).LastHiddenState);
        using var text = Told("a cat", "dogs");
        using var nothing = Told(negative ?? "", negative ?? "");
        var byHand = Sample(
            pipeline, new PipelineRequest { Condition = text, Unconditional = nothing, Steps = 3, Seed = 4, GuidanceScale = 3.0 });
        var latents = DiffusersScheduler.CreateSampler(pipeline.Scheduler, 3).Sample(
            Guidance.ClassifierFree(pipeline.Model, 3.0, _ => nothing.Slice(0, 2)),
            [2, 4, 8, 8], 4, text, cancellationToken: TestContext.Current.CancellationToken);
        images.shape.Should().Equal(2, 3, 16, 16);
        images.ShouldBeClose(byHand, 1e-6, "of the request's conditions");
        images.ShouldBeClose(pipeline.Autoencoder!.Decode(latents.div(0.18215)), 1e-5, "of sampler and decoder");
    }

    [Fact]
    public void Prompts_scale_and_what_is_avoided_each_change_the_images()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var pipeline = Pipeline(folder);
        var guided = Sample(pipeline, _request);
        var unguided = Sample(pipeline, _request with { GuidanceScale = 1.0 });

        unguided.Values().Should().NotEqual(guided.Values());
        Of(_request with { GuidanceScale = null }).ShouldBeIdentical(Of(_request with { GuidanceScale = 7.5 }), "the default");
        Of(_request with { NegativePrompt = "" }).ShouldBeIdentical(guided, "no text is avoided unless said otherwise");
        Of(_request with { NegativePrompt = "rain" }).Values().Should().NotEqual(guided.Values());
        Of(_request with { NegativePrompt = "rain", GuidanceScale = 1.0 }).ShouldBeIdentical(unguided, "nothing is avoided without guidance");
        Of(_request with { Prompts = ["a cat", "dog"], GuidanceScale = 1.0 })[1].Values().Should().NotEqual(unguided[1].Values());
        Of(_request with { Prompts = ["a cat"], GuidanceScale = 1.0 })[0].ShouldBeClose(unguided[0], 1e-5, "its own prompt alone counts");

        Tensor Of(PipelineRequest request) => Sample(pipeline, request);
    }

    [Fact]
    public void A_pipeline_that_is_saved_and_loaded_draws_the_same_images()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var pipeline = Pipeline(folder);
        var expected = Sample(pipeline, _request);

        pipeline.Save(folder.File("saved"));
        using var loaded = DiffusersPipeline.Load(folder.File("saved"));
        loaded.Save(folder.File("again"));

        Sample(loaded, _request).ShouldBeIdentical(expected, "images");
        Sample(loaded.With(loaded.Scheduler), _request).ShouldBeIdentical(expected, "images with the same scheduler again");
        loaded.Tokenizer!.Encode("ab").Should().Equal(pipeline.Tokenizer!.Encode("ab"));
        loaded.CopiedComponents.Should().Equal("tokenizer");
        FolderFixture.Contents(folder.File("saved/tokenizer")).Should().Equal(FolderFixture.Contents(folder.File("tokenizer")));
        FolderFixture.Contents(folder.File("again")).Should().Equal(FolderFixture.Contents(folder.File("saved")));
    }

    [Fact]
    public void Padding_is_attended_to_unless_the_encoder_says_otherwise()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using (var made = Pipeline(folder))
            made.Save(folder.File("saved"));
        var file = folder.File("saved/text_encoder/config.json");
        var config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        config["use_attention_mask"] = true;
        File.WriteAllText(file, config.ToJsonString());

        using var pipeline = DiffusersPipeline.Load(folder.File("saved"));
        using var condition = pipeline.EncodePrompts(["ab"]);

        // Start, two letters and the end, of nine.
        var mask = tensor([true, true, true, true, false, false, false, false, false]).unsqueeze(0);
        var tokens = pipeline.Tokenizer!.EncodeBatch(["ab"]);
        pipeline.Models["text_encoder"].UnknownSettings.Should().BeEmpty();
        condition.EncoderHiddenStates!.ShouldBeIdentical(pipeline.TextEncoder!.Encode(tokens, mask).LastHiddenState, "with the mask");
        condition.EncoderHiddenStates!.Values().Should().NotEqual(pipeline.TextEncoder.Encode(tokens).LastHiddenState.Values());
        condition.EncoderAttentionMask.Should().BeNull("the U-Net of diffusers looks at all of them");
    }

    [Fact]
    public void Sampling_from_prompts_leaves_no_tensors_behind()
    {
        using var folder = new TemporaryFolder();
        using var pipeline = Pipeline(folder);
        Sample(pipeline, _request).Dispose();

        LiveTensors.Change(() => Sample(pipeline, _request).Dispose()).Should().Be(0);
    }

    [Theory]
    [InlineData("vocab.json", null, typeof(FileNotFoundException))]
    [InlineData("merges.txt", null, typeof(FileNotFoundException))]
    [InlineData("vocab.json", "{\"a\": ", typeof(InvalidDataException))]
    [InlineData("vocab.json", "{\"a\": 0}", typeof(InvalidDataException))]
    [InlineData("vocab.json", "{\"a\": \"first\"}", typeof(InvalidDataException))]
    [InlineData("merges.txt", "#version: 0.2\na\n", typeof(InvalidDataException))]
    [InlineData("tokenizer_config.json", "[]", typeof(InvalidDataException))]
    [Trait(Category.Name, Category.Fault)]
    public void A_tokenizer_that_is_missing_or_damaged_is_refused(string file, string? text, Type error)
    {
        using var folder = new TemporaryFolder();
        using (var made = Pipeline(folder))
            made.Save(folder.File("saved"));
        var path = folder.File($"saved/tokenizer/{file}");
        if (text is null)
            File.Delete(path);
        else
            File.WriteAllText(path, text);

        var thrown = Record.Exception(() => DiffusersPipeline.Load(folder.File("saved")));

        thrown.Should().BeOfType(error);
        thrown!.Message.Should().Contain("tokenizer");
    }

    [Theory]
    [InlineData("T5TokenizerFast")]
    [InlineData(null)]
    [Trait(Category.Name, Category.Fault)]
    public void A_tokenizer_that_is_not_known_or_left_out_is_named_where_prompts_need_it(string? className)
    {
        using var folder = new TemporaryFolder();
        using (var made = Pipeline(folder))
            made.Save(folder.File("saved"));
        var file = folder.File("saved/model_index.json");
        var index = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        index["tokenizer"] = className is null ? new JsonArray(null, null) : new JsonArray("transformers", className);
        File.WriteAllText(file, index.ToJsonString());

        using var pipeline = DiffusersPipeline.Load(folder.File("saved"));
        using var condition = Condition.Create(encoderHiddenStates: ones([1, 5, Width]));

        pipeline.Invoking(p => Sample(p, _request)).Should().Throw<ArgumentException>()
            .WithMessage($"*CLIPTokenizer*has {className ?? "none"} and CLIPTextModel*");
        using var images = Sample(pipeline, new PipelineRequest { Condition = condition, Steps = 1 });
        images.shape.Should().Equal(1, 3, 16, 16);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Requests_that_do_not_fit_are_refused()
    {
        using var folder = new TemporaryFolder();
        using var pipeline = Pipeline(folder);
        using var condition = Condition.Create(encoderHiddenStates: ones([2, 5, Width]));
        void Refused(PipelineRequest request, string message)
            => pipeline.Invoking(p => Sample(p, request)).Should().Throw<ArgumentException>().WithMessage(message);

        Refused(_request with { Count = 3 }, "*the same number of images*3, none, 2*");
        Refused(_request with { Prompts = [] }, "*Count*0*");
        Refused(_request with { Condition = condition }, "*give one of them*");
        Refused(_request with { Labels = [1, 2] }, "*give one of them*");
        Refused(_request with { Unconditional = condition }, "*NegativePrompt*");
        Refused(new PipelineRequest { NegativePrompt = "rain" }, "*needs Prompts*");
        Refused(_request with { Prompts = ["\ud800", "b"] }, "*Unicode*");
        using var distilledFolder = new TemporaryFolder();
        using var distilled = Pipeline(distilledFolder, timeVectorWidth: 4);
        distilled.Invoking(p => Sample(p, _request)).Should().Throw<ArgumentException>()
            .WithMessage("*time_cond_proj_dim is 4*TimestepCondition*");
        FluentActions.Invoking(() => DiffusersTable.Default.Pipeline("LDMTextToImagePipeline")).Should().Throw<NotSupportedException>()
            .WithMessage("*'LDMTextToImagePipeline'*StableDiffusionPipeline*");
    }

    private static Tensor Sample(DiffusersPipeline pipeline, PipelineRequest request)
        => pipeline.Sample(request, cancellationToken: TestContext.Current.CancellationToken);

    private static DiffusersPipeline Pipeline(TemporaryFolder folder, int? timeVectorWidth = null)
    {
        WriteTokenizer(Directory.CreateDirectory(folder.File("tokenizer")).FullName, out var vocabulary, out var end);
        random.manual_seed(8);
        var attention = new SpatialTransformerOptions { ContextWidth = Width, Heads = 2 };
        var networks = new Dictionary<string, nn.Module>
        {
            ["text_encoder"] = new ClipTextEncoder(new ClipTextEncoderOptions
            {
                Vocabulary = vocabulary,
                Width = Width,
                HiddenWidth = 16,
                Layers = 2,
                Heads = 2,
                MaxTokens = MaxTokens,
                EndToken = end,
            }),
            ["unet"] = new UNet(new UNetLayout
            {
                ImageSize = 8,
                Channels = 4,
                GroupNormGroups = 4,
                ZeroOutput = false,
                TimestepConditionWidth = timeVectorWidth,
                Levels =
                [
                    new UNetLevel { Width = 8, Layers = 1, Down = new UNetBlockOptions { Attention = attention } },
                    new UNetLevel { Width = 8, Layers = 1, Down = new UNetBlockOptions() },
                ],
                Middle = new UNetBlockOptions { Attention = attention },
            }),
            ["vae"] = new AutoencoderKL(new AutoencoderKLOptions
            {
                Body = new ConvolutionalBody { Widths = [8, 8], Groups = 4 },
                ScalingFactor = 0.18215,
            }),
        };
        using (no_grad())
        {
            // Fresh embeddings are too small to tell texts apart.
            foreach (var parameter in networks["text_encoder"].parameters())
                parameter.add_(rand_like(parameter).mul_(0.5));
        }

        foreach (var network in networks.Values)
            network.eval();
        return DiffusersPipeline.Of(
            "StableDiffusionPipeline",
            networks,
            SchedulerConfig.Parse("""{"beta_schedule": "scaled_linear", "clip_sample": false}""", "DDIMScheduler"),
            new Dictionary<string, (string, string)> { ["tokenizer"] = (folder.File("tokenizer"), "CLIPTokenizer") });
    }

    /// <summary>Letters, alone and at the end of a word, one pair, start and end.</summary>
    private static void WriteTokenizer(string folder, out int count, out int end)
    {
        string[] letters = [.. Enumerable.Range('a', 26).Select(letter => ((char)letter).ToString())];
        string[] tokens = [.. letters, .. letters.Select(letter => letter + "</w>"), "ca", "<|startoftext|>", End];
        (count, end) = (tokens.Length, tokens.Length - 1);
        var vocabulary = tokens.Select((token, i) => (token, i)).ToDictionary(pair => pair.token, pair => pair.i);
        File.WriteAllText(Path.Combine(folder, "vocab.json"), JsonSerializer.Serialize(vocabulary));
        File.WriteAllText(Path.Combine(folder, "merges.txt"), "#version: 0.2\nc a\n");
        File.WriteAllText(
            Path.Combine(folder, "tokenizer_config.json"), JsonSerializer.Serialize(new { model_max_length = MaxTokens, pad_token = End }));
    }
}
