using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using Diffusion.Core.Schedules;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Damaged model files, saved models, adapters and indices: each is read, or rejected with a documented exception.</summary>
[Trait(Category.Name, Category.Fault)]
public class ModelFuzzTests
{
    private static readonly Type[] _documented =
        [typeof(InvalidDataException), typeof(NotSupportedException), typeof(FileNotFoundException)];

    [Fact]
    public void Damaged_model_files_are_read_or_rejected() => ModelFiles(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_model_files_are_read_or_rejected() => ModelFiles(Fuzzing.LongCases);

    /// <summary>Each size of each network, in turn, replaced by larger ones.</summary>
    [Fact]
    public void Sizes_in_a_file_are_compared_with_its_weights_before_memory_is_allocated()
    {
        long[] sizes = [int.MaxValue, 1 << 28, 20_000];
        using var folder = new TemporaryFolder();
        var path = folder.File("model.safetensors");
        var fuzzing = new Fuzzing { Documented = _documented, MaxBytes = 16 << 20 };
        var cases = 0;
        foreach (var (_, create) in ModelFileTests.Examples)
        {
            using (var network = create())
                ModelFile.Save(path, network);
            var original = File.ReadAllBytes(path);
            var options = Metadata(original, ModelFile.MetadataKey);
            var places = Wholes(JsonNode.Parse(options)!["options"]).Count;
            foreach (var (place, size) in Enumerable.Range(0, places).SelectMany(place => sizes.Select(size => (place, size))))
            {
                var root = JsonNode.Parse(options)!;
                Wholes(root["options"])[place].ReplaceWith(size);
                fuzzing.Run(
                    1,
                    0,
                    (_, _) => WithMetadata(original, ModelFile.MetadataKey, root.ToJsonString(), path),
                    _ => ModelFile.Load(path).Dispose());
                cases++;
            }
        }

        fuzzing.Faults.Should().BeEmpty();
        cases.Should().BeGreaterThan(300);
        fuzzing.Rejected.Should().BeGreaterThan(cases / 2, "some numbers, such as an image size, are not those of weights");
    }

    [Theory]
    [InlineData("""{"width": 20000}""", "*width = 20000*")]
    [InlineData("""{"layers": 1000000}""", "*layers = 1000000*")]
    [InlineData("""{"features": 1000000000}""", "*features = 1000000000*")]
    public void The_message_contains_the_size_that_does_not_fit(string options, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("small.safetensors");
        using (var values = ones([2]))
        {
            Safetensors.Save(path, [new("x", values)], new Dictionary<string, string>
            {
                [ModelFile.MetadataKey] = $$"""{"type": "MlpDenoiser", "options": {{options}}}""",
            });
        }

        FluentActions.Invoking(() => ModelFile.Load(path)).Should().Throw<InvalidDataException>()
            .WithMessage("*larger than the 2 values in the 1 tensors of*small.safetensors*").WithMessage(message);
    }

    [Fact]
    public void Damaged_saved_models_are_read_or_rejected() => SavedModels(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_saved_models_are_read_or_rejected() => SavedModels(Fuzzing.LongCases);

    [Fact]
    public void Damaged_adapters_are_read_or_rejected() => Adapters(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_adapters_are_read_or_rejected() => Adapters(Fuzzing.LongCases);

    [Fact]
    public void Damaged_indices_are_read_or_rejected() => Indices(Fuzzing.Cases);

    [Fact]
    [Trait(Category.Name, Category.Long)]
    public void Many_damaged_indices_are_read_or_rejected() => Indices(Fuzzing.LongCases);

    private static void ModelFiles(int count)
    {
        using var folder = new TemporaryFolder();
        string[] names = [.. ModelFileTests.Examples.Keys.Order(StringComparer.Ordinal)];
        var originals = Array.ConvertAll(names, name =>
        {
            using var network = ModelFileTests.Examples[name]();
            ModelFile.Save(folder.File("original"), network);
            return File.ReadAllBytes(folder.File("original"));
        });
        var path = folder.File("model.safetensors");
        var fuzzing = new Fuzzing { Documented = _documented };

        fuzzing.Run(
            count,
            1,
            (i, random) => Damage(originals[i % originals.Length], ModelFile.MetadataKey, path, random),
            _ => ModelFile.Load(path).Dispose());

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Accepted.Should().BeLessThan(count / 2);
    }

    private static void SavedModels(int count)
    {
        using var folder = new TemporaryFolder();
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 4, Layers = 1, Classes = 2 });
        INoiseSchedule[] schedules =
        [
            DiscreteSchedule.Linear(6), DiscreteSchedule.Linear(12).Respaced("3"), new CosineLogSnrSchedule(), new EdmSchedule(),
            new RectifiedFlowSchedule(),
            ResolutionShiftedSchedule.Interpolated(64, 32, 256),
        ];
        Prediction[] predictions = [Prediction.Epsilon, Prediction.Velocity, Prediction.Edm(), Prediction.Consistency()];
        string[] originals = [.. schedules.Select((schedule, k) =>
        {
            using var model = new DiffusionModel(network, schedule, predictions[k % predictions.Length])
            {
                DataRange = k == 0 ? new DataRange(-1, 1) : null,
                NullLabel = 1,
                Metadata = new Dictionary<string, string> { ["note"] = "x" },
            };
            model.Save(folder.Path);
            return File.ReadAllText(folder.File(DiffusionModel.DescriptionFileName));
        })];
        var fuzzing = new Fuzzing { Documented = _documented };

        fuzzing.Run(
            count,
            2,
            (i, random) => Write(folder.File(DiffusionModel.DescriptionFileName), Mutation.Json(originals[i % originals.Length], random)),
            _ => DiffusionModel.Load(folder.Path).Dispose());

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Accepted.Should().BeInRange(1, count / 2);
    }

    private static void Adapters(int count)
    {
        using var folder = new TemporaryFolder();
        using var network = new MlpDenoiser(new MlpDenoiserOptions { Width = 4, Layers = 1 });
        var options = new LoraOptions { Targets = name => name.EndsWith("linear_1", StringComparison.Ordinal), Rank = 2, Alpha = 3 };
        using (var adapter = LoraAdapter.Inject(network, options))
            adapter.Save(folder.File("original"));
        var original = File.ReadAllBytes(folder.File("original"));
        var path = folder.File("lora.safetensors");
        var fuzzing = new Fuzzing { Documented = _documented };

        fuzzing.Run(
            count,
            3,
            (_, random) => Damage(original, "lora_adapter_metadata", path, random),
            _ => LoraAdapter.Load(network, path).Dispose());

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Accepted.Should().BeInRange(1, count - 1);
    }

    private static void Indices(int count)
    {
        using var folder = new TemporaryFolder();
        using (var values = ones([3]))
        {
            Safetensors.WriteSharded(folder.Path, "model", [SafetensorsSource.Of("a", values), SafetensorsSource.Of("b", values)], 12);
        }

        var path = folder.File("model.safetensors.index.json");
        var original = File.ReadAllText(path);
        var fuzzing = new Fuzzing { Documented = _documented };

        fuzzing.Run(count, 4, (_, random) => Write(path, Mutation.Json(original, random)), _ => SafetensorsSet.Open(path).Dispose());

        fuzzing.Faults.Should().BeEmpty();
        fuzzing.Accepted.Should().BeInRange(1, count / 2);
    }

    /// <summary>Damages a string in the metadata of a safetensors file, and sometimes the file itself.</summary>
    private static string Damage(byte[] original, string key, string path, Random random)
    {
        if (random.Next(8) == 0)
        {
            File.WriteAllBytes(path, Mutation.Bytes(original, random));
            return "bytes";
        }

        return WithMetadata(original, key, Mutation.Json(Metadata(original, key), random), path);
    }

    private static JsonObject Header(byte[] file, out int length)
    {
        length = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
        return JsonNode.Parse(file.AsSpan(8, length))!.AsObject();
    }

    private static string Metadata(byte[] file, string key) => Header(file, out _)["__metadata__"]![key]!.GetValue<string>();

    /// <summary>Writes a file with another string in its metadata, and returns the string.</summary>
    private static string WithMetadata(byte[] file, string key, string text, string path)
    {
        var header = Header(file, out var length);
        header["__metadata__"]![key] = text;
        var json = Encoding.UTF8.GetBytes(header.ToJsonString());
        var prefix = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)json.Length);
        File.WriteAllBytes(path, [.. prefix, .. json, .. file.AsSpan(8 + length)]);
        return text;
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
