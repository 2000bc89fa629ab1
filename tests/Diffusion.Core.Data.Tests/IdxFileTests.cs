using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

public sealed class IdxFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(new[] { 5 }, false)]
    [InlineData(new[] { 5 }, true)]
    [InlineData(new[] { 2, 3, 4 }, false)]
    [InlineData(new[] { 2, 3, 4 }, true)]
    [InlineData(new[] { 3, 1000, 1000 }, true)]
    public void A_file_comes_back_as_it_was_written(int[] dimensions, bool compressed)
    {
        var values = Enumerable.Range(0, dimensions.Aggregate((a, b) => a * b)).Select(i => (byte)(i * 37)).ToArray();
        var bytes = Idx.Bytes(dimensions, values);

        var read = Read(compressed ? Idx.Gzip(bytes) : bytes);

        read.Dimensions.Should().Equal(dimensions);
        read.Data.Span.SequenceEqual(values).Should().BeTrue();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait(Category.Name, Category.Fault)]
    public void Every_shorter_file_is_refused(bool compressed)
    {
        var bytes = Idx.Bytes([2, 3], [1, 2, 3, 4, 5, 6]);
        for (var length = 0; length < bytes.Length; length++)
        {
            var part = bytes[..length];
            Refuse(compressed ? Idx.Gzip(part) : part);
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Every_shorter_compressed_stream_is_refused()
    {
        var bytes = Idx.Gzip(Idx.Bytes([2, 300], [.. Enumerable.Range(0, 600).Select(i => (byte)(i * i))]));
        for (var length = 0; length < bytes.Length; length++)
            Refuse(bytes[..length]);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_compressed_stream_with_a_wrong_checksum_is_refused()
    {
        var bytes = Idx.Gzip(Idx.Bytes([4], [1, 2, 3, 4]));
        bytes[^8] ^= 1;

        Refuse(bytes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait(Category.Name, Category.Fault)]
    public void Bytes_after_the_values_are_refused(bool compressed)
    {
        var bytes = Idx.Bytes([2, 2], [1, 2, 3, 4, 5]);

        Refuse(compressed ? Idx.Gzip(bytes) : bytes);
    }

    [Theory]
    [InlineData("00000D0100000001", "type 0x0D")]
    [InlineData("0100080100000001FF", "0100")]
    [InlineData("0000080000000001", "at least one dimension")]
    [InlineData("000008020000000100000000", "size 0")]
    [InlineData("89504E470D0A1A0A", "89504E47")]
    [Trait(Category.Name, Category.Fault)]
    public void A_header_of_another_kind_is_refused_by_name(string hex, string reason)
        => Refuse(Convert.FromHexString(hex)).Should().Contain(reason);

    [Theory]
    [InlineData("0000080300FFFFFF00FFFFFF00FFFFFF", false)]
    [InlineData("0000080300FFFFFF00FFFFFF00FFFFFF", true)]
    [InlineData("00000801FFFFFFFF", false)]
    [InlineData("000008017FFFFFC7", false)]
    [InlineData("000008017FFFFFC7", true)]
    [Trait(Category.Name, Category.Fault)]
    public void A_header_that_asks_for_more_than_the_file_has_gets_no_memory(string hex, bool compressed)
    {
        var bytes = Convert.FromHexString(hex);
        var path = Save(compressed ? Idx.Gzip(bytes) : bytes);

        var before = GC.GetAllocatedBytesForCurrentThread();
        var read = () => IdxFile.Read(path);
        read.Should().Throw<InvalidDataException>();

        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(8 << 20);
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void The_message_names_the_file_and_both_lengths()
    {
        var path = Save(Idx.Bytes([2, 2], [1, 2, 3]));

        var read = () => IdxFile.Read(path);

        read.Should().Throw<InvalidDataException>().WithMessage($"*{path}*16 bytes*2 x 2*15*");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void A_missing_file_is_named()
    {
        var read = () => IdxFile.Read(_folder.File("nothing"));

        read.Should().Throw<FileNotFoundException>().WithMessage("*nothing*");
    }

    private string Refuse(byte[] bytes)
    {
        var path = Save(bytes);
        var read = () => IdxFile.Read(path);
        return read.Should().Throw<InvalidDataException>().Which.Message.Should().Contain(path).And.Subject;
    }

    private IdxFile Read(byte[] bytes) => IdxFile.Read(Save(bytes));

    private string Save(byte[] bytes)
    {
        var path = _folder.File("values");
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
