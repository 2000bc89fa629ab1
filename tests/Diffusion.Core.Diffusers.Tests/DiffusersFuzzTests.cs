using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>Damaged files of diffusers and transformers: each is read, or rejected with a documented exception.</summary>
[Trait(Category.Name, Category.Fault)]
public class DiffusersFuzzTests
{
    private static readonly Type[] _documented =
        [typeof(InvalidDataException), typeof(NotSupportedException), typeof(FileNotFoundException)];

    [Fact]
    public void Damaged_network_configurations_are_read_or_rejected() => Networks(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_network_configurations_are_read_or_rejected() => Networks(Fuzzing.LongCases);

    [Fact]
    public void Damaged_scheduler_configurations_are_read_or_rejected() => Schedulers(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_scheduler_configurations_are_read_or_rejected() => Schedulers(Fuzzing.LongCases);

    [Fact]
    public void Damaged_pipeline_indices_are_read_or_rejected() => Indices(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_pipeline_indices_are_read_or_rejected() => Indices(Fuzzing.LongCases);

    [Fact]
    public void Damaged_tokenizers_are_read_or_rejected() => Tokenizers(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_tokenizers_are_read_or_rejected() => Tokenizers(Fuzzing.LongCases);

    /// <summary>Each whole number of each configuration, in turn, replaced by larger ones.</summary>
    [Fact]
    public void Sizes_in_a_configuration_are_compared_with_its_weights_before_memory_is_allocated()
    {
        long[] sizes = [int.MaxValue, 20_000];
        using var folder = new TemporaryFolder();
        WriteSmallWeights(folder);
        var fuzzing = new Fuzzing { Documented = _documented, MaxBytes = 16 << 20 };
        var cases = 0;
        foreach (var json in NetworkConfigurations())
        {
            var places = Wholes(JsonNode.Parse(json)).Count;
            foreach (var (place, size) in Enumerable.Range(0, places).SelectMany(place => sizes.Select(size => (place, size))))
            {
                var root = JsonNode.Parse(json)!;
                Wholes(root)[place].ReplaceWith(size);
                fuzzing.Run(
                    1,
                    0,
                    (_, _) => Write(folder.File("config.json"), root.ToJsonString()),
                    _ => DiffusersModel.Load(folder.Path).Dispose());
                cases++;
            }
        }

        fuzzing.Faults.Should().BeEmpty();
        cases.Should().BeGreaterThan(500);
        fuzzing.Rejected.Should().Be(cases);
    }

    [Theory]
    [InlineData("""{"_class_name": "UNet2DModel", "in_channels": 1000000000}""", "in_channels = 1000000000")]
    [InlineData("""{"_class_name": "UNet2DModel", "layers_per_block": 1000000}""", "layers_per_block = 1000000")]
    [InlineData("""{"_class_name": "DiTTransformer2DModel", "num_layers": 1000000}""", "num_layers = 1000000")]
    [InlineData("""{"_class_name": "AutoencoderKL", "block_out_channels": [32000000]}""", "block_out_channels[0] = 32000000")]
    [InlineData("""{"architectures": ["CLIPTextModel"], "vocab_size": 1000000000}""", "vocab_size = 1000000000")]
    public void The_message_contains_the_size_that_does_not_fit(string json, string setting)
    {
        using var folder = new TemporaryFolder();
        WriteSmallWeights(folder);
        File.WriteAllText(folder.File("config.json"), json);

        FluentActions.Invoking(() => DiffusersModel.Load(folder.Path)).Should().Throw<InvalidDataException>()
            .WithMessage($"*larger than the 1 values in the 1 tensors of {folder.Path}*{setting}*");
    }

    private static void Networks(int count)
    {
        using var folder = new TemporaryFolder();
        WriteSmallWeights(folder);
        var originals = NetworkConfigurations();
        var fuzzing = new Fuzzing { Documented = _documented };

        fuzzing.Run(
            count,
            11,
            (i, random) => Write(folder.File("config.json"), Mutation.Json(originals[i % originals.Length], random)),
            _ => DiffusersModel.Load(folder.Path).Dispose());

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Rejected.Should().Be(count, "the weights are those of another network");
    }

    private static void Schedulers(int count)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("scheduler_config.json");
        string[] originals = [.. DiffusersScheduler.ClassNames.Select(name =>
        {
            var settings = new JsonObject(
                SchedulerSettings.Find(name)!.Select(pair => KeyValuePair.Create(pair.Key, pair.Value?.DeepClone())));
            settings.Remove("trained_betas");
            if (name.StartsWith("DDIM", StringComparison.Ordinal))
                settings["trained_betas"] = new JsonArray(0.1, 0.2);
            settings["_class_name"] = name;
            return settings.ToJsonString();
        })];
        var fuzzing = new Fuzzing { Documented = [.. _documented, typeof(ArgumentException), typeof(ArgumentOutOfRangeException)] };
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 4, Layers = 1 });

        fuzzing.Run(
            count,
            12,
            (i, random) => Write(path, Mutation.Json(originals[i % originals.Length], random)),
            i =>
            {
                var config = SchedulerConfig.Read(path);
                _ = SchedulerConfig.Parse(config.ToJson()).UnknownSettings;
                if (i % 2 == 0)
                    DiffusersScheduler.CreateSampler(config, 10);
                else
                    DiffusersScheduler.CreateModel(config, network).Dispose();
            });

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Accepted.Should().BeInRange(count / 10, count * 9 / 10);
    }

    private static void Indices(int count)
    {
        using var folder = new TemporaryFolder();
        using (var unet = DiffusersModel.Load(FolderFixture.Committed("recorded-unet2d-nomiddle")))
        using (var pipeline = DiffusersPipeline.Of(
            "DDPMPipeline", new Dictionary<string, nn.Module> { ["unet"] = unet.Network }, SchedulerConfig.Parse("{}", "DDPMScheduler")))
            pipeline.Save(folder.Path);
        var path = folder.File("model_index.json");
        var original = File.ReadAllText(path);
        var fuzzing = new Fuzzing { Documented = _documented };

        fuzzing.Run(
            count,
            13,
            (_, random) => Write(path, Mutation.Json(original, random)),
            _ => DiffusersPipeline.Load(folder.Path).Dispose());

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Accepted.Should().BeInRange(1, count / 2);
    }

    private static void Tokenizers(int count)
    {
        using var folder = new TemporaryFolder();
        var merges = "#version: 0.2\na t</w>\nc at</w>\n";
        var vocabulary = """{"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "t</w>": 3, "at</w>": 4, "cat</w>": 5}""";
        var settings = """
            {"bos_token": {"content": "<|startoftext|>", "lstrip": false}, "model_max_length": 77, "unk_token": "<|endoftext|>"}
            """;
        var whole = """
            {"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": VOCABULARY, "merges": ["a t</w>", ["c", "at</w>"]]}}
            """.Replace("VOCABULARY", vocabulary, StringComparison.Ordinal);
        var fuzzing = new Fuzzing { Documented = _documented };

        fuzzing.Run(
            count,
            14,
            (i, random) =>
            {
                string[] texts = [vocabulary, merges, settings, whole];
                texts[i % 4] = i % 4 == 1
                    ? System.Text.Encoding.UTF8.GetString(Mutation.Bytes(System.Text.Encoding.UTF8.GetBytes(merges), random))
                    : Mutation.Json(texts[i % 4], random);
                File.Delete(folder.File("vocab.json"));
                if (i % 4 != 3)
                    File.WriteAllText(folder.File("vocab.json"), texts[0]);
                File.WriteAllText(folder.File("merges.txt"), texts[1]);
                File.WriteAllText(folder.File("tokenizer_config.json"), texts[2]);
                File.WriteAllText(folder.File("tokenizer.json"), texts[3]);
                return texts[i % 4];
            },
            _ => ClipText.LoadTokenizer(folder.Path).Encode("a cat, a \u0000\U0001f600 CAT"));

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Accepted.Should().BeInRange(count / 10, count * 9 / 10);
    }

    /// <summary>The configurations of the committed networks of diffusers and transformers.</summary>
    private static string[] NetworkConfigurations()
        => [.. Directory.GetFiles(FolderFixture.Committed(""), "config.json", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Select(File.ReadAllText)
            .Where(json => DiffusersTable.Default.Models.Any(name => json.Contains($"\"{name}\"", StringComparison.Ordinal)))];

    private static void WriteSmallWeights(TemporaryFolder folder)
    {
        using var values = ones([1]);
        Safetensors.Save(folder.File("diffusion_pytorch_model.safetensors"), [new("x", values)]);
        Safetensors.Save(folder.File("model.safetensors"), [new("x", values)]);
    }

    private static List<JsonValue> Wholes(JsonNode? node) => node switch
    {
        JsonObject members => [.. members.SelectMany(member => Wholes(member.Value))],
        JsonArray items => [.. items.SelectMany(Wholes)],
        JsonValue value when value.TryGetValue(out int _) => [value],
        _ => [],
    };

    private static string Write(string path, string text)
    {
        File.WriteAllText(path, text);
        return text;
    }
}
