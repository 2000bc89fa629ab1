using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public sealed partial class ModelFileTests
{
    private static readonly UNetOptions Small = new()
    {
        ImageSize = 8,
        Channels = 1,
        Width = 8,
        Multipliers = [1, 2],
        LayersPerBlock = 1,
        AttentionResolutions = [4],
        Classes = 2,
        NormEpsilon = 1e-6,
        GroupNormGroups = 4,
    };

    internal static readonly Dictionary<string, Func<nn.Module>> Examples = new(StringComparer.Ordinal)
    {
        ["UNet"] = () => new UNet(Small),
        ["UNet of blocks"] = () => new UNet(new UNetLayout
        {
            Channels = 4,
            Levels =
            [
                new UNetLevel { Width = 8, Layers = 1, Down = new UNetBlockOptions { Resampling = UNetResampling.Convolution(0), OutputScale = 2 } },
                new UNetLevel
                {
                    Width = 16,
                    Layers = 1,
                    Down = new UNetBlockOptions { Attention = new SpatialTransformerOptions { ContextWidth = 6, Heads = 2, LinearProjection = true } },
                    Up = new UNetBlockOptions { Attention = new SelfAttentionOptions { HeadWidth = 4, Norm = false }, Resampling = UNetResampling.Residual },
                },
            ],
            Middle = UNetMiddle.None,
            GroupNormGroups = 4,
            Activation = Activation.Gelu,
            TimeEncoding = TimeEncoding.Sinusoidal(1) with { FlipSinToCos = false },
            ClassEmbedding = UNetConditioning.ProjectedVector(5),
            AddedEmbedding = UNetConditioning.TextAndNumbers(4, 2, 6, TimeEncoding.Sinusoidal(0.5) with { FlipSinToCos = false }),
        }),
        ["UNet of filters and adaptive norms"] = () => new UNet(new UNetLayout
        {
            Levels = Levels(16, new KBlockOptions { GroupSize = 8 }, new KBlockOptions { GroupSize = 4 }),
            Middle = new UNetBlockOptions { MiddleLayers = 0, OutputScale = 1.5 },
            GroupNormGroups = 4,
            Activation = Activation.Gelu,
            OuterActivation = Activation.Silu,
            TimeEncoding = TimeEncoding.Learned(12),
            ClassEmbedding = UNetConditioning.LabelsAsTimes,
            EmbeddingWidth = 12,
        }),
        ["UNet of a pyramid"] = () => new UNet(new UNetLayout
        {
            Levels = Levels(
                32, new NcsnppBlockOptions(), new NcsnppBlockOptions { Attention = new SelfAttentionOptions { HeadWidth = 8, OutputScale = 2, Groups = 2 }, OutputScale = 1.25 }),
            Middle = new UNetBlockOptions { Attention = new SelfAttentionOptions { OutputScale = 3 } },
            GroupNormGroups = 4,
            TimeEncoding = TimeEncoding.Fourier(),
            DivideByTime = true,
            CenterInput = true,
            ClassEmbedding = UNetConditioning.Vector,
        }),
        ["UNet of added context"] = () => new UNet(new UNetLayout
        {
            Levels = Levels(
                8,
                new UNetBlockOptions { Resampling = UNetResampling.Residual, ActivateEmbedding = false },
                new UNetBlockOptions
                {
                    Attention = new SimpleCrossAttentionOptions { HeadWidth = 4, ContextWidth = 6, OnlyCrossAttention = true, ContextGroups = 2 },
                    Resampling = UNetResampling.Residual,
                }),
            Middle = new UNetBlockOptions { Attention = new SimpleCrossAttentionOptions { HeadWidth = 2, ContextWidth = 6 } },
            GroupNormGroups = 4,
            ScaleShift = true,
            SequenceWidth = 5,
            ProjectedSequenceWidth = 6,
            AddedEmbedding = UNetConditioning.PooledSequence(5, 1),
            ClassEmbedding = UNetConditioning.LinearVector(3),
            TimestepConditionWidth = 7,
            TimeActivation = Activation.Gelu,
            EmbeddingActivation = Activation.Relu,
            InputKernel = 5,
            OutputKernel = 1,
        }),
        ["UNet of noise levels"] = () => new UNet(Small with { TimeEncoding = TimeEncoding.Fourier(2), Classes = 3 }),
        ["MlpDenoiser"] = () => new MlpDenoiser(new MlpDenoiserOptions { Width = 8, Classes = 2 }),
        ["ClipTextEncoder"] = () => new ClipTextEncoder(new ClipTextEncoderOptions { Vocabulary = 9, Width = 8, HiddenWidth = 8, Layers = 1, Heads = 2, MaxTokens = 5 }),
        ["DiT"] = () => new DiT(new DiTOptions { ImageSize = 8, Width = 8, Depth = 1, Heads = 2, Classes = 3, Activation = Activation.SwiGlu, LabelDropout = 0.2 }),
        ["UViT"] = () => new UViT(new UViTOptions { ImageSize = 8, Width = 8, Depth = 3, Heads = 2 }),
        ["ViTDenoiser"] = () => new ViTDenoiser(new ViTDenoiserOptions { ImageSize = 8, Width = 8, Depth = 1, Heads = 2 }),
        ["SwinDenoiser"] = () => new SwinDenoiser(new SwinDenoiserOptions { Width = 8, Depths = [1, 2], Heads = [1, 2] }),
        ["AutoencoderKL"] = () => new AutoencoderKL(new AutoencoderKLOptions
        {
            Body = new ConvolutionalBody { Widths = [8, 8], Groups = 4, EncoderAttentionLevels = [1] },
            LatentsMean = [0, 1, 2, 3],
            LatentsStd = [1, 1, 2, 2],
        }),
        ["VQModel"] = () => new VQModel(new VQModelOptions { Body = new ConvolutionalBody { Widths = [8], Groups = 4, LatentChannels = 3 }, Codes = 7, CodeWidth = 2 }),
        ["Vae"] = () => new Vae(new VaeOptions { Body = new MlpBody { SampleShape = [1, 4, 4], Hidden = [6, 5], LatentFeatures = 2 }, TwoEncoders = true }),
        ["Vae of convolutions"] = () => new Vae(new VaeOptions { Body = new ConvolutionalBody { Widths = [8], Groups = 4, Activation = Activation.Relu } }),
        ["Autoencoder"] = () => new Autoencoder(new MlpBody { SampleShape = [3], Activation = Activation.GeluTanh }),
    };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_scale_of_its_latents_stays_with_a_variational_autoencoder(bool perChannel)
    {
        using var folder = new TemporaryFolder();
        var scaling = perChannel ? new LatentScaling([1.0 / 3.0, 7.0], [0.1, -0.2]) : new LatentScaling(1.0 / 3.0);
        using var network = new Vae(new VaeOptions
        {
            Body = new MlpBody { SampleShape = [4], Hidden = [3], LatentFeatures = 2 },
            Scaling = scaling,
        });

        ModelFile.Save(folder.File("vae.safetensors"), network);
        using var loaded = ModelFile.Load<Vae>(folder.File("vae.safetensors"));

        network.Scaling.Should().Be(scaling);
        loaded.Scaling.Should().Be(scaling, "every digit is written");
    }

    [Fact]
    public void A_network_comes_back_from_its_file_alone()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var unet = new UNet(Small);
        var path = folder.File("unet.safetensors");

        ModelFile.Save(path, unet, metadata: new Dictionary<string, string> { ["note"] = "ü" });
        using var loaded = ModelFile.Load<UNet>(path);

        loaded.Layout.Should().BeEquivalentTo(Small.ToLayout());
        ShouldHaveTheSameWeights(loaded, unet);
        using var file = SafetensorsFile.Open(path);
        file.Metadata["note"].Should().Be("ü");
        file.Metadata["format"].Should().Be("pt");
        JsonNode.Parse(file.Metadata[ModelFile.MetadataKey])!["options"]!["norm_epsilon"]!.GetValue<double>().Should().Be(1e-6);
    }

    /// <summary>A small network of every class, with options that are not the defaults.</summary>
    public static TheoryData<string> Networks => [.. Examples.Keys.Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Networks))]
    public void Every_network_comes_back_with_its_options(string name)
    {
        using var folder = new TemporaryFolder();
        var (path, again) = (folder.File("one.safetensors"), folder.File("two.safetensors"));
        using var network = Examples[name]();

        ModelFile.Save(path, network);
        using var loaded = ModelFile.Load(path);
        ModelFile.Save(again, loaded);

        loaded.Should().BeOfType(network.GetType());
        ShouldHaveTheSameWeights(loaded, network);
        File.ReadAllBytes(again).Should().Equal(File.ReadAllBytes(path), "the options are the same");
    }

    [Theory]
    [MemberData(nameof(Networks))]
    public void A_network_that_is_disposed_or_not_loaded_leaves_nothing_behind(string name)
    {
        using var folder = new TemporaryFolder();
        var (path, cut) = (folder.File("whole.safetensors"), folder.File("cut.safetensors"));
        long miscounted;
        using (var network = Examples[name]())
        {
            miscounted = LiveTensors.Miscounted(network);
            ModelFile.Save(path, network);
        }

        // The same network, of whose weights the last is missing.
        using (NewDisposeScope())
        using (var file = SafetensorsFile.Open(path))
            Safetensors.Write(cut, file.Names.SkipLast(1).Select(tensor => SafetensorsSource.Of(tensor, file.Read(tensor))), file.Metadata);
        void Fail() => FluentActions.Invoking(() => ModelFile.Load(cut)).Should().Throw<InvalidDataException>();
        Fail();

        LiveTensors.Change(() => Examples[name]().Dispose()).Should().Be(miscounted);
        LiveTensors.Change(() => ModelFile.Load(path).Dispose()).Should().Be(miscounted);
        LiveTensors.Change(Fail).Should().Be(miscounted);
    }

    [Fact]
    public void Every_class_of_the_registry_is_among_those_tested()
        => Examples.Keys.Select(name => name.Split(' ')[0]).Distinct().Should().BeEquivalentTo(NetworkRegistry.Default.Names);

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void What_a_file_cannot_name_is_refused()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("never.safetensors");
        using var unet = new UNet(Small with { Activation = Activation.Of(x => x.sin()) });
        using var autoencoder = new Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4));

        FluentActions.Invoking(() => ModelFile.Save(path, unet)).Should().Throw<NotSupportedException>().WithMessage("*Activation*silu*");
        FluentActions.Invoking(() => ModelFile.Save(path, autoencoder)).Should().Throw<NotSupportedException>().WithMessage("*Autoencoder*custom*");
        Directory.GetFileSystemEntries(folder.Path).Should().BeEmpty();
    }

    [Fact]
    public void Weights_keep_their_type()
    {
        using var folder = new TemporaryFolder();
        using var mlp = new MlpDenoiser(new MlpDenoiserOptions { Width = 8 }).to(ScalarType.BFloat16);
        var path = folder.File("mlp.safetensors");

        ModelFile.Save(path, mlp);
        using var loaded = ModelFile.Load<MlpDenoiser>(path);

        loaded.parameters().Should().OnlyContain(parameter => parameter.dtype == ScalarType.BFloat16);
        ShouldHaveTheSameWeights(loaded, mlp);
    }

    [Fact]
    public void An_option_that_a_file_does_not_name_has_its_default()
    {
        var type = NetworkRegistry.Default.Find(nameof(MlpDenoiser));

        using var network = (MlpDenoiser)type.Create(new JsonObject { ["width"] = 32 });
        using var vq = (VQModel)NetworkRegistry.Default.Find(nameof(VQModel)).Create(new JsonObject
        {
            ["body"] = new JsonObject { ["widths"] = new JsonArray(8), ["groups"] = 4 },
        });

        network.Options.Should().Be(new MlpDenoiserOptions { Width = 32 });
        vq.Options.Body.LatentChannels.Should().Be(3, "options within options have their defaults too");
    }

    [Fact]
    public void A_class_of_the_users_own_is_registered_by_name()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("mine.safetensors");
        using var mine = new Scaled(new ScaledOptions { Factor = 3 });
        var registry = NetworkRegistry.Default.With(
            NetworkType.Of<Scaled, ScaledOptions>("Scaled", options => new Scaled(options), network => network.Options, new ScaledOptions(), ScaledJson.Default.ScaledOptions));

        FluentActions.Invoking(() => ModelFile.Save(path, mine)).Should().Throw<NotSupportedException>().WithMessage("*Scaled*UNet*");
        ModelFile.Save(path, mine, registry);
        using var loaded = ModelFile.Load(path, registry);

        loaded.Should().BeOfType<Scaled>().Which.Options.Factor.Should().Be(3);
        FluentActions.Invoking(() => ModelFile.Load(path)).Should().Throw<NotSupportedException>().WithMessage("*'Scaled'*UNet*");
    }

    [Theory]
    [InlineData(null, "*does not specify its network*")]
    [InlineData("{", "*must be JSON with a 'type'*")]
    [InlineData("[]", "*must be JSON with a 'type'*")]
    [InlineData("{\"type\": 3, \"options\": {}}", "*must be JSON with a 'type'*")]
    [InlineData("{\"type\": \"MlpDenoiser\"}", "*must be JSON with a 'type'*")]
    [InlineData("{\"type\": \"MlpDenoiser\", \"options\": {\"depth\": 3}}", "*no option 'depth'*width*")]
    [InlineData("{\"type\": \"MlpDenoiser\", \"options\": {\"width\": \"wide\"}}", "*options of MlpDenoiser*width*")]
    [InlineData("{\"type\": \"MlpDenoiser\", \"options\": {\"width\": 7}}", "*Width must be an even number*")]
    [InlineData("{\"type\": \"MlpDenoiser\", \"options\": {\"width\": 8}}", "*does not hold the weights*")]
    [Trait(Category.Name, Category.Fault)]
    public void A_file_that_does_not_say_what_it_holds_is_refused(string? description, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("odd.safetensors");
        using (var values = ones([2]))
            Safetensors.Save(path, [new("x", values)], description is null ? null : new Dictionary<string, string> { [ModelFile.MetadataKey] = description });

        FluentActions.Invoking(() => ModelFile.Load(path)).Should().Throw<InvalidDataException>().WithMessage(message).WithMessage("*odd.safetensors*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_network_of_another_class_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var mlp = new MlpDenoiser(new MlpDenoiserOptions { Width = 8 });
        var path = folder.File("mlp.safetensors");
        ModelFile.Save(path, mlp);

        FluentActions.Invoking(() => ModelFile.Load<UNet>(path)).Should().Throw<InvalidDataException>().WithMessage("*UNet*MlpDenoiser*");
    }

    private static UNetLevel[] Levels(int width, params IUNetBlockOptions[] blocks)
        => [.. blocks.Select((block, level) => new UNetLevel { Width = width * (level + 1), Layers = 1, Down = block })];

    private static void ShouldHaveTheSameWeights(nn.Module actual, nn.Module expected)
    {
        var state = expected.state_dict();
        foreach (var (name, tensor) in actual.state_dict())
            tensor.bytes.SequenceEqual(state[name].bytes).Should().BeTrue(name);
        state.Should().HaveSameCount(actual.state_dict());
    }

    private sealed record ScaledOptions
    {
        public double Factor { get; init; } = 2;
    }

    private sealed class Scaled : nn.Module<Tensor, Tensor>
    {
        public Scaled(ScaledOptions options)
            : base("Scaled")
        {
            Options = options;
            register_module("linear", nn.Linear(2, 2));
        }

        public ScaledOptions Options { get; }

        public override Tensor forward(Tensor x) => x.mul(Options.Factor);

        protected override void RegisterComponents()
        {
        }
    }

    [JsonSerializable(typeof(ScaledOptions))]
    private sealed partial class ScaledJson : JsonSerializerContext;
}
