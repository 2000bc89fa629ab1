using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

public class SafetensorsTypeTests
{
    [Fact]
    public void The_format_has_fifteen_types_and_torch_has_ten_of_them()
    {
        SafetensorsType.All.Select(type => type.Name).Should().BeEquivalentTo(
            "BOOL", "U8", "I8", "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "F64", "I64", "U64", "F8_E4M3", "F8_E5M2");
        SafetensorsType.All.Where(type => type.IsNative).Should().HaveCount(10);
        SafetensorsType.All.Select(type => type.Size).Should().BeInDescendingOrder();
    }

    [Fact]
    public void Unsigned_integers_are_widened_exactly()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.File("unsigned.safetensors");
        Safetensors.Write(path,
        [
            OfValues("u16", SafetensorsType.U16, [0, 1, 0xFF, 0xFF]),
            OfValues("u32", SafetensorsType.U32, [0, 0, 0, 0x80, 0xFF, 0xFF, 0xFF, 0xFF]),
            OfValues("u64", SafetensorsType.U64, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
        ]);

        var read = Safetensors.Load(path);

        read["u16"].data<int>().ToArray().Should().Equal(256, 65535);
        read["u32"].data<long>().ToArray().Should().Equal(2147483648L, 4294967295L);
        read["u64"].data<long>().ToArray().Should().Equal(long.MaxValue);
    }

    /// <summary>Files of quantized networks have tensors of types that no tensor has, beside those that can be read.</summary>
    [Theory]
    [InlineData("F4", 4, 2)]
    [InlineData("F8_E8M0", 3, 3)]
    [InlineData("C64", 2, 16)]
    public void A_tensor_of_an_unknown_type_leaves_the_others_readable(string type, int count, int bytes)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.File("quantized.safetensors");
        var header = $$"""
            {"__metadata__":null,"scale":{"dtype":"{{type}}","shape":[{{count}}],"data_offsets":[0,{{bytes}}] },
            "weight":{"dtype":"F32","shape":[1],"data_offsets":[{{bytes}},{{bytes + 4}}] } }
            """;
        byte[] data = [.. Enumerable.Range(1, bytes).Select(value => (byte)value), .. BitConverter.GetBytes(2.5f)];
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((ulong)header.Length), .. System.Text.Encoding.UTF8.GetBytes(header), .. data]);

        using var file = SafetensorsFile.Open(path);

        file.Metadata.Should().BeEmpty();
        file.Read("weight").data<float>().ToArray().Should().Equal(2.5f);
        file["scale"].Type.Name.Should().Be(type);
        file["scale"].ByteCount.Should().Be(bytes);
        file.Invoking(f => f.Read("scale")).Should().Throw<InvalidDataException>().WithMessage($"*'scale'*'{type}'*F32*");
        FluentActions.Invoking(() => file["scale"].Dtype).Should().Throw<NotSupportedException>().WithMessage($"*{type}*");
        using var stream = file.OpenBytes("scale");
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        copy.ToArray().Should().Equal(data[..bytes]);
        ModuleWeights.TypeOf(path).Should().Be(ScalarType.Float32);
        using var linear = nn.Linear(1, count, hasBias: false);
        FluentActions.Invoking(() => ModuleWeights.Load(linear, path, new WeightOptions { Rename = name => name == "scale" ? null : name }))
            .Should().Throw<InvalidDataException>().WithMessage("*shape*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void An_unsigned_integer_that_no_tensor_holds_is_refused_but_its_bytes_are_there()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("large.safetensors");
        Safetensors.Write(path, [OfValues("u64", SafetensorsType.U64, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80])]);

        using var file = SafetensorsFile.Open(path);

        LiveTensors.Change(() => file.Invoking(f => f.Read("u64")).Should().Throw<InvalidDataException>()
            .WithMessage("*'u64' of U64 has 9223372036854775808*at element 1*")).Should().Be(0);
        using var bytes = file.OpenBytes("u64");
        bytes.Length.Should().Be(16);
    }

    [Fact]
    public void Eight_bit_floats_have_the_values_of_their_definition()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.File("float8.safetensors");
        byte[] all = [.. Enumerable.Range(0, 256).Select(bits => (byte)bits)];
        Safetensors.Write(path, [OfValues("e4m3", SafetensorsType.F8E4M3, all), OfValues("e5m2", SafetensorsType.F8E5M2, all)]);

        var read = Safetensors.Load(path);

        // Sign, exponent and mantissa, as the paper's table 1 has them: biases of 7 and 15.
        double[] Expected(int mantissaBits, int bias, Func<int, int, double?> special) => [.. all.Select(bits =>
        {
            var (exponent, mantissa) = ((bits & 127) >> mantissaBits, bits & ((1 << mantissaBits) - 1));
            var fraction = mantissa / (double)(1 << mantissaBits);
            var size = special(exponent, mantissa) ?? (exponent == 0 ? fraction * Math.Pow(2, 1 - bias) : (1 + fraction) * Math.Pow(2, exponent - bias));
            return bits < 128 ? size : -size;
        })];
        read["e4m3"].Values().Should().Equal(Expected(3, 7, (exponent, mantissa) => exponent == 15 && mantissa == 7 ? double.NaN : null));
        read["e5m2"].Values().Should().Equal(Expected(
            2, 15, (exponent, mantissa) => exponent < 31 ? null : mantissa == 0 ? double.PositiveInfinity : double.NaN));
        read["e4m3"].Values().Where(double.IsFinite).Max().Should().Be(448);
        read["e5m2"].Values().Where(double.IsFinite).Max().Should().Be(57344);
    }

    [Fact]
    public void Tensors_of_every_type_are_copied_from_file_to_file()
    {
        using var folder = new TemporaryFolder();
        var (first, second) = (folder.File("first.safetensors"), folder.File("second.safetensors"));
        Safetensors.Write(first, [.. SafetensorsType.All.Select(type => OfValues(type.Name, type, [.. Enumerable.Repeat((byte)1, 3 * type.Size)]))]);

        using (var file = SafetensorsFile.Open(first))
            Safetensors.Write(second, file.Names.Select(name => SafetensorsSource.OfFile(file, name)));

        File.ReadAllBytes(second).Should().Equal(File.ReadAllBytes(first));
    }

    [Fact]
    public void Tensors_are_made_one_at_a_time_and_converted_when_they_are_written()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var path = folder.File("lazy.safetensors");
        var (live, most) = (0L, 0L);
        SafetensorsSource Lazy(string name) => SafetensorsSource.Of(name, ScalarType.BFloat16, [1000], () =>
        {
            most = Math.Max(most, Tensor.TotalCount - live);
            return full([1000], 1.5, dtype: ScalarType.Float32);
        });
        live = Tensor.TotalCount;

        Safetensors.Write(path, Enumerable.Range(0, 20).Select(i => Lazy($"t{i}")));

        most.Should().Be(0, "each was gone before the next was made");
        Safetensors.Load(path)["t19"].to(ScalarType.Float32).data<float>().ToArray().Should().HaveCount(1000).And.OnlyContain(value => value == 1.5f);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_source_that_does_not_keep_its_word_leaves_no_file()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("never.safetensors");

        FluentActions.Invoking(() => Safetensors.Write(path, [OfValues("short", SafetensorsType.U32, [1, 2])]))
            .Should().NotThrow("a shape follows from the bytes here");
        File.Delete(path);
        FluentActions.Invoking(() => Safetensors.Write(path, [SafetensorsSource.OfBytes("x", SafetensorsType.U16, [3], stream => stream.WriteByte(0))]))
            .Should().Throw<InvalidOperationException>().WithMessage("*'x' has 6 bytes*wrote 1*");
        FluentActions.Invoking(() => Safetensors.Write(path, [SafetensorsSource.Of("x", ScalarType.Float32, [3], () => zeros([2]))]))
            .Should().Throw<ArgumentException>().WithMessage("*[3]*[2]*");
        Directory.GetFileSystemEntries(folder.Path).Should().BeEmpty();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_file_that_is_cut_while_it_is_open_is_refused()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "An open file cannot be cut there.");
        using var folder = new TemporaryFolder();
        var path = folder.File("cut.safetensors");
        using (var values = ones([5000]))
            Safetensors.Save(path, [new("x", values)]);
        using var file = SafetensorsFile.Open(path);

        using (var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            stream.SetLength(100);

        file.Invoking(f => f.Read("x")).Should().Throw<InvalidDataException>().WithMessage("*changed while being read*");
    }

    private static SafetensorsSource OfValues(string name, SafetensorsType type, byte[] bytes)
        => SafetensorsSource.OfBytes(name, type, [bytes.Length / type.Size], stream => stream.Write(bytes.AsSpan(0, bytes.Length / type.Size * type.Size)));
}
