using System.Text;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class SafetensorsRoundTripTests
{
    public static TheoryData<ScalarType> Types =>
    [
        ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64,
        ScalarType.Int32, ScalarType.Int16, ScalarType.Int8, ScalarType.Byte, ScalarType.Bool,
    ];

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_type_comes_back_bit_for_bit(ScalarType type)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.File("one.safetensors");
        var values = arange(-3, 9, dtype: ScalarType.Float64).view(3, 4).to(type);

        Safetensors.Save(path, new Dictionary<string, Tensor> { ["x"] = values });
        var read = Safetensors.Load(path);

        read.Should().ContainSingle().Which.Key.Should().Be("x");
        read["x"].dtype.Should().Be(type);
        read["x"].shape.Should().Equal(3, 4);
        read["x"].bytes.ToArray().Should().Equal(values.bytes.ToArray());
    }

    [Fact]
    public void Scalars_empty_tensors_views_and_leaves_with_gradients_come_back()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.File("shapes.safetensors");
        var matrix = arange(6, dtype: ScalarType.Float32).view(2, 3);
        var tensors = new Dictionary<string, Tensor>
        {
            ["scalar"] = tensor(2.5f),
            ["empty"] = zeros([0, 3], dtype: ScalarType.Int64),
            ["transposed"] = matrix.t(),
            ["row"] = matrix[1],
            ["leaf"] = ones([2], dtype: ScalarType.Float32).requires_grad_(true),
        };

        Safetensors.Save(path, tensors);
        var read = Safetensors.Load(path);

        read.Keys.Should().BeEquivalentTo(tensors.Keys);
        read["scalar"].shape.Should().BeEmpty();
        read["scalar"].item<float>().Should().Be(2.5f);
        read["empty"].shape.Should().Equal(0, 3);
        read["transposed"].shape.Should().Equal(3, 2);
        read["transposed"].data<float>().ToArray().Should().Equal(0, 3, 1, 4, 2, 5);
        read["row"].data<float>().ToArray().Should().Equal(3, 4, 5);
        read["leaf"].requires_grad.Should().BeFalse();
    }

    [Fact]
    public void The_same_tensors_give_the_same_bytes_in_whatever_order_they_come()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var half = ones([3], dtype: ScalarType.Float16);
        var wide = ones([3], dtype: ScalarType.Float64);
        var flag = ones([1], dtype: ScalarType.Bool);

        Safetensors.Save(
            folder.File("a"), [new("b", half), new("a", flag), new("c", wide)], new Dictionary<string, string> { ["k"] = "1", ["j"] = "ü\"" });
        Safetensors.Save(
            folder.File("b"), [new("c", wide), new("b", half), new("a", flag)], new Dictionary<string, string> { ["j"] = "ü\"", ["k"] = "1" });

        File.ReadAllBytes(folder.File("b")).Should().Equal(File.ReadAllBytes(folder.File("a")));
        using var file = SafetensorsFile.Open(folder.File("a"));
        file.Names.Should().Equal("c", "b", "a");
        file.Metadata.Should().Equal(new Dictionary<string, string> { ["j"] = "ü\"", ["k"] = "1" });
        file.Entries.Should().OnlyContain(entry => entry.Name != "c" || entry.Position % 8 == 0);
    }

    [Fact]
    public void One_tensor_can_be_read_from_a_file_of_several()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.File("two.safetensors");
        Safetensors.Save(path, [new("first", tensor(new long[] { 1, 2 })), new("second", tensor(new float[] { 3, 4, 5 }))]);

        using var file = SafetensorsFile.Open(path);

        file["second"].Should().BeEquivalentTo(new { Name = "second", Dtype = ScalarType.Float32, Shape = new long[] { 3 }, ByteCount = 12L });
        file.Contains("first").Should().BeTrue();
        file.Contains("third").Should().BeFalse();
        file.Read("second", CPU).data<float>().ToArray().Should().Equal(3, 4, 5);
        file.Invoking(f => f.Read("third")).Should().Throw<KeyNotFoundException>().WithMessage("*'third'*first*second*");
    }

    [Fact]
    public void Reading_and_writing_leave_no_tensors_behind()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("x.safetensors");
        using var values = ones([4, 4]);

        LiveTensors.Change(() =>
        {
            Safetensors.Save(path, [new("x", values)]);
            foreach (var tensor in Safetensors.Load(path).Values)
                tensor.Dispose();
        }).Should().Be(0);
    }

    [Fact]
    public void Tensors_longer_than_one_piece_come_back()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.File("pieces.safetensors");
        var length = (1 << 24) + 3;
        var values = arange(length, dtype: ScalarType.Int64).remainder(251).to(ScalarType.Byte);

        Safetensors.Save(path, [new("x", values)]);
        var read = Safetensors.Load(path)["x"];

        read.bytes.SequenceEqual(values.bytes).Should().BeTrue();
    }

    [Fact]
    public void Tensors_beyond_2_GiB_are_found()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The file is one large hole, which NTFS would fill.");
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.File("large.safetensors");
        const long Hole = 3_000_000_000;
        var header = $"{{\"hole\":{{\"dtype\":\"U8\",\"shape\":[{Hole}],\"data_offsets\":[0,{Hole}]}},"
            + $"\"last\":{{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[{Hole},{Hole + 2}]}}}}";
        using (var stream = File.Create(path))
        {
            stream.Write(BitConverter.GetBytes((ulong)header.Length));
            stream.Write(Encoding.UTF8.GetBytes(header));
            stream.Seek(Hole, SeekOrigin.Current);
            stream.Write([7, 9]);
        }

        using var file = SafetensorsFile.Open(path);

        file["hole"].ByteCount.Should().Be(Hole);
        file.Read("last").bytes.ToArray().Should().Equal(7, 9);
    }

    [Fact]
    [Trait(Category.Name, Category.Golden)]
    public void Files_written_by_the_reference_implementation_are_rewritten_byte_for_byte()
    {
        var files = Directory.GetFiles(TestData.Golden, "*.safetensors", SearchOption.AllDirectories);
        using var folder = new TemporaryFolder();
        var rewritten = folder.File("rewritten.safetensors");
        var compared = 0;
        foreach (var path in files)
        {
            using var scope = NewDisposeScope();
            using var file = SafetensorsFile.Open(path);
            if (file.Metadata.Count > 1)
                continue; // The reference implementation writes several in no particular order.
            Safetensors.Save(rewritten, file.ReadAll(), file.Metadata);
            File.ReadAllBytes(rewritten).AsSpan().SequenceEqual(File.ReadAllBytes(path)).Should().BeTrue("{0} must be the same", path);
            compared++;
        }

        compared.Should().BePositive();
    }
}
