using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

public class DiffusersModelTests
{
    private const string Weights = "diffusion_pytorch_model.safetensors";

    public static TheoryData<string> Folders => FolderFixture.Models;

    [Theory]
    [MemberData(nameof(Folders))]
    [Trait(Category.Name, Category.Golden)]
    public void A_folder_that_is_loaded_and_saved_is_the_same_to_the_byte(string folder)
    {
        using var target = new TemporaryFolder();
        var source = FolderFixture.PathOf(folder);

        using var model = DiffusersModel.Load(source, new DiffusersOptions { Dtype = null });
        model.Save(target.Path);

        model.UnknownSettings.Should().BeEmpty();
        model.Weights!.Converted.Should().BeEmpty();
        model.Weights.Renamed.Should().BeEmpty();
        var written = FolderFixture.Contents(target.Path);
        var weights = model.Network is ClipTextEncoder ? "model.safetensors" : Weights;
        written.Keys.Should().BeEquivalentTo("config.json", weights);
        written["config.json"].Should().Be(File.ReadAllText(Path.Combine(source, "config.json")));
        if (model.Weights.Ignored.Count > 0)
        {
            // Tensors that are no weights, as old files have them, are not written.
            using var read = SafetensorsFile.Open(Path.Combine(source, weights));
            using var saved = SafetensorsFile.Open(target.File(weights));
            saved.Names.Should().BeEquivalentTo(read.Names.Except(model.Weights.Ignored));
            return;
        }

        written[weights].Should().Be(Convert.ToHexString(File.ReadAllBytes(Path.Combine(source, weights))));
    }

    [Theory]
    [MemberData(nameof(Folders))]
    [Trait(Category.Name, Category.Golden)]
    public void A_network_made_here_has_the_configuration_that_diffusers_gives_it(string folder)
    {
        using var model = DiffusersModel.Load(FolderFixture.PathOf(folder));

        var made = DiffusersModel.Of(model.Network).Config;

        var (described, original) = (JsonNode.Parse(made.ToJson())!.AsObject(), JsonNode.Parse(model.Config.ToJson())!.AsObject());
        foreach (var (key, value) in original.Where(pair => !IsFree(pair.Key, model)))
        {
            described.ContainsKey(key).Should().BeTrue("{0} is a setting of diffusers", key);
            JsonNode.DeepEquals(described[key], value).Should().BeTrue(
                "{0} must be {1}, got {2}", key, value?.ToJsonString() ?? "null", described[key]?.ToJsonString() ?? "null");
        }

        // The settings that may be written in several ways, and those that the original left out, say the same network.
        if (model.Network is UNet unet)
        {
            using var again = (UNet)DiffusersTable.Default.Model(made.ClassName).Create(made);
            JsonNode.DeepEquals(again.Layout.ToJson(), unet.Layout.ToJson()).Should().BeTrue(again.Layout.ToJson().ToJsonString());
            DiffusersModel.Of(again).Config.ToJson().Should().Be(made.ToJson());
        }
    }

    public static TheoryData<string, string> Lacking => new()
    {
        { "Dimensions = 1", "*UNet2DModel*Dimensions = 1*" },
        { "DivideByTime = true", "*UNet2DModel*divide_by_time = true*" },
        { "GroupSize = 4", "*UNet2DModel*levels[0].down.group_size = 4*" },
        { "OutputScale = 3", "*UNet2DModel*levels[0].down.output_scale = 3*" },
        { "Layers = 1 and 2", "*UNet2DModel*Layers*1 and 2*" },
        { "InputKernel and no head width", "*UNet2DConditionModel*HeadWidth = null, 4*" },
    };

    [Theory]
    [MemberData(nameof(Lacking))]
    public void What_diffusers_cannot_say_is_refused_with_the_option(string what, string message)
    {
        var plain = new UNetOptions { Width = 8, Multipliers = [1, 1], GroupNormGroups = 4 }.ToLayout();
        UNetLayout Of(IUNetBlockOptions first, IUNetBlockOptions? second = null, int layers = 1) => plain with
        {
            Levels = [new UNetLevel { Width = 8, Layers = 1, Down = first }, new UNetLevel { Width = 8, Layers = layers, Down = second ?? first }],
        };
        UNetBlockOptions Attending(int? width) => new() { Attention = new SelfAttentionOptions { HeadWidth = width } };
        using var network = new UNet(what switch
        {
            "Dimensions = 1" => plain with { Dimensions = 1 },
            "DivideByTime = true" => plain with { DivideByTime = true },
            "GroupSize = 4" => Of(new KBlockOptions { GroupSize = 4 }),
            "OutputScale = 3" => Of(new NcsnppBlockOptions { OutputScale = 3 }),
            "Layers = 1 and 2" => Of(new UNetBlockOptions(), layers: 2),
            _ => Of(Attending(null), Attending(4)) with { InputKernel = 5 },
        });

        FluentActions.Invoking(() => DiffusersModel.Of(network)).Should().Throw<NotSupportedException>().WithMessage(message);
    }

    [Fact]
    public void Large_weights_are_saved_in_several_files_and_read_again()
    {
        using var target = new TemporaryFolder();
        var source = FolderFixture.Committed("unet2d-ddpm");
        using var model = DiffusersModel.Load(source);

        model.Save(target.Path, maxShardBytes: 50_000);
        using var again = DiffusersModel.Load(target.Path);
        again.Save(target.File("again"));

        Directory.GetFiles(target.Path, "*-of-*.safetensors").Length.Should().BeGreaterThan(1);
        File.Exists(target.File("diffusion_pytorch_model.safetensors.index.json")).Should().BeTrue();
        File.ReadAllBytes(Path.Combine(target.File("again"), Weights)).Should().Equal(File.ReadAllBytes(Path.Combine(source, Weights)));

        again.Save(target.Path);
        Directory.GetFiles(target.Path).Select(Path.GetFileName).Should().BeEquivalentTo("config.json", Weights);
    }

    [Fact]
    public void Settings_that_are_not_known_are_reported_logged_and_written_back()
    {
        using var folder = Edited("models/unet2d-ddpm", config => config["from_the_future"] = new JsonArray(1.0, "ü"));
        var logger = new ListLogger();

        using var model = DiffusersModel.Load(folder.Path, new DiffusersOptions { Logger = logger });
        model.Save(folder.File("saved"));

        model.UnknownSettings.Should().Equal("from_the_future");
        logger.Entries.Should().ContainSingle().Which.Text.Should().Match("*UNet2DModel*from_the_future*");
        logger.Warnings.Should().HaveCount(1);
        File.ReadAllText(folder.File("saved/config.json")).Should().Be(File.ReadAllText(folder.File("config.json")));
    }

    [Fact]
    public void Old_names_and_shapes_of_attention_are_read()
    {
        using var scope = NewDisposeScope();
        using var folder = Edited("models/unet2d-ddpm", _ => { });
        var tensors = Safetensors.Load(folder.File(Weights));
        string[] current = ["to_q", "to_k", "to_v", "to_out.0"], old = ["query", "key", "value", "proj_attn"];
        string Old(string name) => current.Zip(old).Aggregate(name, (text, pair) => text.Replace($".{pair.First}.", $".{pair.Second}.", StringComparison.Ordinal));
        Safetensors.Save(folder.File(Weights), tensors.Select(pair => new KeyValuePair<string, Tensor>(
            Old(pair.Key), Old(pair.Key) != pair.Key && pair.Value.dim() == 2 ? pair.Value.unsqueeze(-1).unsqueeze(-1) : pair.Value)));

        using var model = DiffusersModel.Load(folder.Path);

        model.Weights!.Renamed.Should().HaveCount(tensors.Keys.Count(name => Old(name) != name)).And.NotBeEmpty();
        foreach (var (name, tensor) in model.Network.state_dict())
            tensor.ShouldBeIdentical(tensors[name], name);
    }

    [Fact]
    public void Half_precision_weights_become_float32_and_that_is_said_or_stay()
    {
        using var scope = NewDisposeScope();
        using var folder = Edited("models/unet2d-ddpm", _ => { });
        var tensors = Safetensors.Load(folder.File(Weights));
        Safetensors.Write(folder.File("diffusion_pytorch_model.fp16.safetensors"), tensors.Select(pair => SafetensorsSource.Of(pair.Key, pair.Value, ScalarType.Float16)));
        var logger = new ListLogger();

        using var single = DiffusersModel.Load(folder.Path, new DiffusersOptions { Variant = "fp16", Logger = logger });
        using var half = DiffusersModel.Load(folder.Path, new DiffusersOptions { Variant = "fp16", Dtype = ScalarType.Float16 });

        single.Network.parameters().Should().OnlyContain(parameter => parameter.dtype == ScalarType.Float32);
        single.Weights!.Converted.Should().HaveSameCount(tensors);
        logger.Entries.Should().ContainSingle().Which.Text.Should().Match("*converted*F16 to Float32*");
        logger.Warnings.Should().BeEmpty();
        half.Network.parameters().Should().OnlyContain(parameter => parameter.dtype == ScalarType.Float16);
        half.Weights!.Converted.Should().BeEmpty();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_folder_that_is_not_whole_is_refused_with_what_is_wrong()
    {
        using var folder = Edited("models/unet2d-ddpm", _ => { });
        File.Move(folder.File(Weights), folder.File("diffusion_pytorch_model.bin"));
        FluentActions.Invoking(() => DiffusersModel.Load(folder.Path)).Should().Throw<FileNotFoundException>().WithMessage($"*{Weights}*diffusion_pytorch_model.bin*can run code*");

        using var unknown = Edited("models/unet2d-ddpm", config => config["_class_name"] = "UNet9D");
        FluentActions.Invoking(() => DiffusersModel.Load(unknown.Path)).Should().Throw<NotSupportedException>().WithMessage("*'UNet9D'*UNet2DModel*");

        using var mish = Edited("models/vq", config => config["norm_type"] = "layer");
        FluentActions.Invoking(() => DiffusersModel.Load(mish.Path)).Should().Throw<NotSupportedException>().WithMessage("*VQModel*norm_type*\"layer\"*");

        using var other = Edited("models/vq", config => config["num_vq_embeddings"] = 7);
        FluentActions.Invoking(() => DiffusersModel.Load(other.Path)).Should().Throw<InvalidDataException>().WithMessage("*'quantize.embedding.weight'*");
    }

    [Fact]
    public void A_mapping_of_the_users_own_is_asked_by_class_name()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var table = DiffusersTable.Default.With(new MlpMapping());
        using (var made = DiffusersModel.Of(new MlpDenoiser(new MlpDenoiserOptions { Width = 8 }), table))
            made.Save(folder.Path);

        using var loaded = DiffusersModel.Load(folder.Path, new DiffusersOptions { Table = table });

        loaded.Network.Should().BeOfType<MlpDenoiser>().Which.Options.Width.Should().Be(8);
        FluentActions.Invoking(() => DiffusersModel.Load(folder.Path)).Should().Throw<NotSupportedException>().WithMessage("*'MyMlp'*");
        FluentActions.Invoking(() => DiffusersModel.Of(loaded.Network)).Should().Throw<NotSupportedException>().WithMessage("*MlpDenoiser*");
    }

    /// <summary>True for what no network here depends on, or what says the same in several ways.</summary>
    private static bool IsFree(string key, DiffusersModel model) => key switch
    {
        "_diffusers_version" => true,
        _ => model.Network switch
        {
            UNet unet => key switch
            {
                // A type of arithmetic; what only attention has; lists for levels that have no such attention, or all have the same.
                "upcast_attention" => true,
                "add_attention" or "attention_head_dim" => unet.Layout.Middle == UNetMiddle.None,
                "only_cross_attention" or "cross_attention_dim" or "reverse_transformer_layers_per_block" => model.Config.Json(key) is JsonArray,
                _ => false,
            },
            ClipTextEncoder => key is "_class_name" or "attention_dropout" or "bos_token_id" or "dropout" or "pad_token_id" or "projection_dim",
            AutoencodingNetwork => key == "sample_size",
            DiT => key == "norm_num_groups",
            _ => false,
        },
    };

    private static TemporaryFolder Edited(string source, Action<JsonObject> change)
    {
        var folder = new TemporaryFolder();
        foreach (var file in Directory.GetFiles(FolderFixture.PathOf(source)))
            File.Copy(file, folder.File(Path.GetFileName(file)));
        var config = JsonNode.Parse(File.ReadAllText(folder.File("config.json")))!.AsObject();
        change(config);
        File.WriteAllText(folder.File("config.json"), ModelConfig.Parse(config.ToJsonString()).ToJson());
        return folder;
    }

    private sealed class MlpMapping : IModelMapping
    {
        public string ClassName => "MyMlp";

        public nn.Module Create(ModelConfig config) => new MlpDenoiser(new MlpDenoiserOptions { Width = config.Whole("width", 128) });

        public ModelConfig? Describe(nn.Module network) => network is MlpDenoiser mlp
            ? new ModelConfig(ClassName, new JsonObject { ["_class_name"] = ClassName, ["width"] = mlp.Options.Width })
            : null;
    }
}
