using System.Buffers.Binary;
using System.Text;
using Diffusion.Core.Testing;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

[Trait(Category.Name, Category.Fault)]
public class SafetensorsFaultTests
{
    private const string A = "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}";

    /// <summary>Header, bytes of data behind it, what the message must say.</summary>
    public static TheoryData<string, int, string> DamagedHeaders => new()
    {
        { "[]", 0, "*must be a JSON object*" },
        { "", 0, "*must be a JSON object*" },
        { " {}", 0, "*must be a JSON object*" },
        { "{", 0, "*not valid JSON*" },
        { "{} x", 0, "*not valid JSON*" },
        { $"{{{A}}}", 7, "*'a'*end <= 7*[0, 8]*" },
        { $"{{{A}}}", 9, "*cover 8 bytes*9 bytes*" },
        { "{}", 1, "*cover 0 bytes*1 bytes*" },
        { $"{{{A},{A}}}", 8, "*'a'*more than once*" },
        { """{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "*'a'*'dtype' more than once*" },
        { $"{{{A},{A.Replace("\"a\"", "\"b\"", StringComparison.Ordinal)}}}", 8, "*'?' must begin at 8*begins at 0*" },
        { """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}""", 6, "*'b' must begin at 4*begins at 2*" },
        { """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[6,10]}}""", 10, "*'b' must begin at 4*begins at 6*" },
        { """{"a":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}""", 6, "*'a' must begin at 0*begins at 2*" },
        { """{"a":{"dtype":7,"shape":[4],"data_offsets":[0,4]}}""", 4, "*'a'*'7'*F64*F32*" },
        { """{"a":{"shape":[4],"data_offsets":[0,4]}}""", 4, "*'a' has no 'dtype'*" },
        { """{"a":{"dtype":"U8","data_offsets":[0,4]}}""", 4, "*'a' has no 'shape'*" },
        { """{"a":{"dtype":"U8","shape":[4]}}""", 4, "*'a' has no 'data_offsets'*" },
        { """{"a":{"dtype":"U8","shape":4,"data_offsets":[0,4]}}""", 4, "*'a'*array*shape*Number*" },
        { """{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}""", 4, "*'a'*shape*-4*" },
        { """{"a":{"dtype":"U8","shape":[4.5],"data_offsets":[0,4]}}""", 4, "*'a'*shape*4.5*" },
        { """{"a":{"dtype":"U8","shape":["4"],"data_offsets":[0,4]}}""", 4, "*'a'*shape*4*" },
        { """{"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,4]}}""", 4, "*'a'*shape*9223372036854775808*" },
        { """{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", 0, "*'a'*more than*bytes*" },
        { """{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}}""", 12, "*'a' of F32 [4] needs 16 bytes*span 12*" },
        { """{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}}""", 4, "*'a'*[begin, end]*[0, 4, 4]*" },
        { """{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}""", 4, "*'a'*begin <= end*[4, 0]*" },
        { $"{{\"a\":{{\"dtype\":\"U8\",\"shape\":[{Ones(65)}],\"data_offsets\":[0,1]}}}}", 1, "*'a'*at most 64 numbers in its shape*65*" },
        { $"{{\"a\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{Ones(99)}]}}}}", 1, "*'a'*at most 64 numbers in its data_offsets*99*" },
        { """{"a":[1]}""", 0, "*'a'*object*Array*" },
        { """{"__metadata__":"x"}""", 0, "*'__metadata__'*object of strings*String*" },
        { """{"__metadata__":{"x":1}}""", 0, "*'__metadata__'*strings only*Number*'x'*" },
        { """{"__metadata__":{"x":"1","x":"1"}}""", 0, "*'x' more than once*" },
        { """{"__metadata__":{},"__metadata__":{}}""", 0, "*'__metadata__' appears more than once*" },
        { """{"\ud800":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}""", 1, "*not Unicode*" },
    };

    [Theory]
    [MemberData(nameof(DamagedHeaders))]
    public void A_damaged_header_is_refused_with_the_file_and_what_is_wrong(string header, int dataLength, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("damaged.safetensors");
        File.WriteAllBytes(path, Bytes((ulong)header.Length, Encoding.UTF8.GetBytes(header), dataLength));

        Refused(path, message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void A_file_shorter_than_the_length_of_its_header_is_refused(int length)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("short.safetensors");
        File.WriteAllBytes(path, new byte[length]);

        Refused(path, $"*at least 8 bytes*has {length}*");
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(1UL << 63)]
    [InlineData(100_000_001UL)]
    [InlineData(3UL)]
    public void A_header_longer_than_allowed_or_than_the_file_is_refused_unread(ulong length)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("long.safetensors");
        File.WriteAllBytes(path, Bytes(length, "{}"u8.ToArray(), 0));

        Refused(path, length > 100_000_000 ? "*at most 100000000 bytes*" : "*claims 3 bytes*only 2 follow*");
    }

    [Fact]
    public void A_header_that_is_not_utf8_is_refused()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("latin1.safetensors");
        File.WriteAllBytes(path, Bytes(14, [.. """{"\u0000":""}"""u8[..2], 0xE4, .. "\":\"xxxxxx\"}"u8], 0));

        Refused(path, "*not valid UTF-8*");
    }

    [Fact]
    public void A_boolean_that_is_neither_0_nor_1_is_refused_and_nothing_stays_behind()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("bool.safetensors");
        var header = """{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"BOOL","shape":[2],"data_offsets":[1,3]}}""";
        var bytes = Bytes((ulong)header.Length, Encoding.UTF8.GetBytes(header), 3);
        bytes[^1] = 2;
        File.WriteAllBytes(path, bytes);

        LiveTensors.Change(() => FluentActions.Invoking(() => Safetensors.Load(path))
            .Should().Throw<InvalidDataException>().WithMessage("*'b'*got 2 at element 1*")).Should().Be(0);
    }

    [Fact]
    public void A_failed_save_leaves_the_old_file_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        using var good = ones([2]);
        var path = folder.File("kept.safetensors");
        Safetensors.Save(path, [new("good", good)]);
        var before = File.ReadAllBytes(path);

        FluentActions.Invoking(() => Safetensors.Save(path, Failing())).Should().Throw<IOException>();
        File.ReadAllBytes(path).Should().Equal(before);
        Directory.GetFileSystemEntries(folder.Path).Should().Equal(path);

        IEnumerable<KeyValuePair<string, Tensor>> Failing()
        {
            yield return new("good", good);
            throw new IOException("the disk is full");
        }
    }

    [Fact]
    public void A_target_that_cannot_be_replaced_leaves_no_temporary_file()
    {
        using var folder = new TemporaryFolder();
        using var values = ones([2]);
        var path = folder.File("folder.safetensors");
        Directory.CreateDirectory(System.IO.Path.Combine(path, "inside"));

        FluentActions.Invoking(() => Safetensors.Save(path, [new("x", values)])).Should().Throw<Exception>();

        Directory.GetFileSystemEntries(folder.Path).Should().Equal(path);
    }

    [Fact]
    public void Bad_names_types_and_metadata_are_refused()
    {
        using var folder = new TemporaryFolder();
        using var x = ones([2]);
        using var complex = zeros([2], dtype: ScalarType.ComplexFloat32);
        var path = folder.File("never.safetensors");
        void Save(KeyValuePair<string, Tensor>[] tensors, Dictionary<string, string>? metadata = null) => Safetensors.Save(path, tensors, metadata);

        FluentActions.Invoking(() => Save([new("a", x), new("a", x)])).Should().Throw<ArgumentException>().WithMessage("*'a' twice*");
        FluentActions.Invoking(() => Save([new("__metadata__", x)])).Should().Throw<ArgumentException>().WithMessage("*__metadata__*");
        FluentActions.Invoking(() => Save([new("", x)])).Should().Throw<ArgumentException>().WithMessage("*name*");
        FluentActions.Invoking(() => Save([new("a", null!)])).Should().Throw<ArgumentException>().WithMessage("*null for 'a'*");
        FluentActions.Invoking(() => Save([new("\ud800", x)])).Should().Throw<ArgumentException>().WithMessage("*surrogate*");
        FluentActions.Invoking(() => Save([new("a", complex)])).Should().Throw<ArgumentException>().WithMessage("*'a'*F64*Complex*");
        FluentActions.Invoking(() => Save([new("a", x)], new() { ["k"] = null! })).Should().Throw<ArgumentException>().WithMessage("*null for 'k'*");
        Directory.GetFileSystemEntries(folder.Path).Should().BeEmpty();
    }

    private static void Refused(string path, string message)
        => FluentActions.Invoking(() => SafetensorsFile.Open(path).Dispose())
            .Should().Throw<InvalidDataException>().WithMessage(message).WithMessage($"*{Path.GetFileName(path)}*");

    private static byte[] Bytes(ulong length, byte[] header, int dataLength)
    {
        var bytes = new byte[8 + header.Length + dataLength];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        header.CopyTo(bytes, 8);
        return bytes;
    }

    private static string Ones(int count) => string.Join(',', Enumerable.Repeat(1, count));
}
