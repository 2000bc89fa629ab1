using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class SafetensorsSetTests
{
    private const string Name = "diffusion_pytorch_model";

    [Fact]
    public void Shards_and_their_index_have_the_names_and_the_form_of_Hugging_Face()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();

        var files = Write(folder.Path, 40);

        files.Select(Path.GetFileName).Should().Equal(
            $"{Name}-00001-of-00003.safetensors", $"{Name}-00002-of-00003.safetensors", $"{Name}-00003-of-00003.safetensors",
            $"{Name}.safetensors.index.json");
        Directory.GetFileSystemEntries(folder.Path).Should().BeEquivalentTo(files);
        File.ReadAllText(files[^1]).Should().Be($$"""
            {
              "metadata": {
                "total_size": 112
              },
              "weight_map": {
                "a": "{{Name}}-00001-of-00003.safetensors",
                "b": "{{Name}}-00002-of-00003.safetensors",
                "c": "{{Name}}-00003-of-00003.safetensors",
                "d": "{{Name}}-00003-of-00003.safetensors"
              }
            }

            """.ReplaceLineEndings("\n"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(40)]
    [InlineData(60)]
    [InlineData(112)]
    public void What_is_written_in_any_number_of_files_is_read_as_one(long maxShardBytes)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var files = Write(folder.Path, maxShardBytes);

        foreach (var path in new[] { folder.Path, files[^1] })
        {
            using var set = SafetensorsSet.Open(path);
            set.Names.Should().BeEquivalentTo("a", "b", "c", "d");
            set.Files.Should().HaveCount(Math.Max(files.Count - 1, 1)).And.OnlyContain(file => file.Metadata["format"] == "pt");
            set.Read("b").data<float>().ToArray().Should().Equal(Enumerable.Repeat(2f, 10));
            set["d"].Shape.Should().Equal(2);
            set.Contains("e").Should().BeFalse();
            set.Invoking(s => s.Read("e")).Should().Throw<KeyNotFoundException>().WithMessage("*'e'*it has 4*");
        }
    }

    [Fact]
    public void An_earlier_set_of_the_same_name_goes_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        File.WriteAllText(folder.File("config.json"), "{}");
        File.WriteAllText(folder.File($"{Name}.fp16.safetensors"), "other");
        Write(folder.Path, 1);

        Write(folder.Path, 1000);

        Directory.GetFiles(folder.Path).Select(Path.GetFileName).Should().BeEquivalentTo(
            "config.json", $"{Name}.fp16.safetensors", $"{Name}.safetensors");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_save_that_fails_leaves_the_folder_as_it_was()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        Write(folder.Path, 40);
        var before = Contents(folder.Path);

        var fails = () => Safetensors.WriteSharded(
            folder.Path,
            Name,
            [
                SafetensorsSource.Of("a", ones([10])),
                SafetensorsSource.Of("b", ScalarType.Float32, [10], () => throw new IOException("the disk is full")),
            ],
            maxShardBytes: 40);
        fails.Should().Throw<IOException>().WithMessage("*the disk is full*");
        Contents(folder.Path).Should().Equal(before);

        var missing = folder.File("new");
        FluentActions.Invoking(() => Safetensors.WriteSharded(
            missing, Name, [SafetensorsSource.Of("b", ScalarType.Float32, [10], () => throw new IOException("full"))], 40)).Should().Throw<IOException>();
        Directory.Exists(missing).Should().BeFalse();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Where_one_file_cannot_take_its_place_the_others_go_back()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        Write(folder.Path, 40);
        var before = Contents(folder.Path);

        // A folder stands where the third of four shards would go.
        Directory.CreateDirectory(folder.File($"{Name}-00003-of-00004.safetensors"));
        FluentActions.Invoking(() => Write(folder.Path, 30)).Should().Throw<IOException>();

        Contents(folder.Path).Should().Equal(before);
        Directory.GetDirectories(folder.Path).Should().ContainSingle();
    }

    [Theory]
    [InlineData("{}", "*weight_map*")]
    [InlineData("[]", "*weight_map*")]
    [InlineData("{\"weight_map\": ", "*not valid JSON*")]
    [InlineData("{\"weight_map\": {\"a\": 1}}", "*'a'*in the folder of the index*1*")]
    [InlineData("{\"weight_map\": {\"a\": \"../x.safetensors\"}}", "*'a'*in the folder of the index*")]
    [InlineData("{\"weight_map\": {\"a\": \"x.safetensors\", \"a\": \"x.safetensors\"}}", "*'a' appears more than once*")]
    [InlineData("{\"weight_map\": {\"a\": \"x.safetensors\"}}", "*does not list tensor 'b'*")]
    [InlineData("{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"x.safetensors\", \"c\": \"x.safetensors\"}}", "*'c' in x.safetensors, it is in no file*")]
    [InlineData("{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"y.safetensors\"}}", "*'b' in y.safetensors, it is in x.safetensors*")]
    [InlineData("{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"z.safetensors\"}}", "*'b' is both in*")]
    [Trait(Category.Name, Category.Fault)]
    public void An_index_that_does_not_fit_its_files_is_refused(string json, string message)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        Safetensors.Save(folder.File("x.safetensors"), [new("a", ones([1])), new("b", ones([1]))]);
        Safetensors.Save(folder.File("y.safetensors"), [new("q", ones([1]))]);
        Safetensors.Save(folder.File("z.safetensors"), [new("b", ones([1]))]);
        File.WriteAllText(folder.File("x.safetensors.index.json"), json);

        FluentActions.Invoking(() => SafetensorsSet.Open(folder.Path).Dispose()).Should().Throw<InvalidDataException>().WithMessage(message);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_folder_without_one_set_of_weights_is_refused_with_what_it_holds()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        File.WriteAllText(folder.File("model.bin"), "");
        FluentActions.Invoking(() => SafetensorsSet.Open(folder.Path)).Should().Throw<FileNotFoundException>().WithMessage("*model.bin*can run code*");

        Safetensors.Save(folder.File("x.safetensors"), [new("a", ones([1]))]);
        Safetensors.Save(folder.File("y.safetensors"), [new("a", ones([1]))]);
        FluentActions.Invoking(() => SafetensorsSet.Open(folder.Path)).Should().Throw<InvalidDataException>().WithMessage("*x.safetensors, y.safetensors*");
    }

    private static IReadOnlyList<string> Write(string folder, long maxShardBytes) => Safetensors.WriteSharded(
        folder,
        Name,
        [
            SafetensorsSource.Of("a", ones([10])),
            SafetensorsSource.Of("b", full([10], 2.0, dtype: ScalarType.Float32)),
            SafetensorsSource.Of("c", full([3], 3.0, dtype: ScalarType.Float64)),
            SafetensorsSource.Of("d", ones([2])),
        ],
        maxShardBytes,
        new Dictionary<string, string> { ["format"] = "pt" });

    private static Dictionary<string, string> Contents(string folder)
        => Directory.GetFiles(folder).Order(StringComparer.Ordinal).ToDictionary(file => file, file => Convert.ToHexString(File.ReadAllBytes(file)));
}
