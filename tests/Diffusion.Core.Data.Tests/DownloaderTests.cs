using System.IO.Compression;
using System.Security.Cryptography;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

public sealed class DownloaderTests : IDisposable
{
    private static readonly byte[] Content = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * i >> 5))];
    private static readonly byte[] Packed = Idx.Gzip(Content);
    private static readonly RemoteFile Remote = new("values.gz", Content.Length, Convert.ToHexString(SHA256.HashData(Content)));
    private static readonly Uri[] Mirrors = [new("https://one.test/data/"), new("https://two.test")];

    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_right_file_gets_its_name()
    {
        using var mirror = new FakeMirror(_ => new ByteArrayContent(Packed));
        var progress = new Reports();

        await Fetch(mirror, new DownloadOptions { Handler = mirror }, progress);

        (await File.ReadAllBytesAsync(_folder.File("values.gz"), Token)).Should().Equal(Packed);
        Directory.GetFiles(_folder.Path).Should().ContainSingle();
        mirror.Asked.Should().Equal("https://one.test/data/values.gz");
        progress.Seen[^1].Should().Be(new DownloadProgress("values.gz", Packed.Length, Packed.Length));
    }

    [Fact]
    public async Task Another_compression_of_the_same_content_is_as_good()
    {
        var stored = Idx.Gzip(Content, CompressionLevel.NoCompression);
        using var mirror = new FakeMirror(_ => new ByteArrayContent(stored));

        await Fetch(mirror);

        File.Exists(_folder.File("values.gz")).Should().BeTrue();
    }

    [Theory]
    [InlineData("missing")]
    [InlineData("wrong")]
    [InlineData("cut")]
    [InlineData("cut at the end")]
    [InlineData("longer")]
    [InlineData("endless")]
    [InlineData("page")]
    [InlineData("silent")]
    [InlineData("unreachable")]
    [Trait(Category.Name, Category.Fault)]
    public async Task A_mirror_that_fails_is_passed_over(string fault)
    {
        using var mirror = new FakeMirror(address => address.Host == "one.test" ? Broken(fault) : new ByteArrayContent(Packed));

        await Fetch(mirror);

        mirror.Asked.Should().Equal("https://one.test/data/values.gz", "https://two.test/values.gz");
        (await File.ReadAllBytesAsync(_folder.File("values.gz"), Token)).Should().Equal(Packed);
        Directory.GetFiles(_folder.Path).Should().ContainSingle();
    }

    [Theory]
    [InlineData("missing", "404")]
    [InlineData("wrong", "SHA-256")]
    [InlineData("cut", "SHA-256")]
    [InlineData("cut at the end", "different ending")]
    [InlineData("longer", "got more")]
    [InlineData("endless", "got more")]
    [InlineData("page", "one.test")]
    [InlineData("silent", "no data was received")]
    [InlineData("unreachable", "no route")]
    [Trait(Category.Name, Category.Fault)]
    public async Task Where_every_mirror_fails_nothing_is_left_and_the_reasons_are_named(string fault, string reason)
    {
        using var mirror = new FakeMirror(_ => Broken(fault));

        var fetch = () => Fetch(mirror);

        (await fetch.Should().ThrowAsync<IOException>()).WithMessage($"*values.gz*one.test*two.test*").WithMessage($"*{reason}*");
        Directory.GetFileSystemEntries(_folder.Path).Should().BeEmpty();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public async Task A_file_that_stood_there_survives_a_failure()
    {
        await File.WriteAllTextAsync(_folder.File("values.gz"), "before", Token);
        using var mirror = new FakeMirror(_ => Broken("wrong"));

        var fetch = () => Fetch(mirror);

        await fetch.Should().ThrowAsync<IOException>();
        (await File.ReadAllTextAsync(_folder.File("values.gz"), Token)).Should().Be("before");
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public async Task Cancelling_stops_at_once_and_leaves_nothing()
    {
        using var source = CancellationTokenSource.CreateLinkedTokenSource(Token);
        using var mirror = new FakeMirror(_ => new StreamContent(new SilentStream(Packed[..10], source.Cancel)));
        using var downloader = new Downloader(new DownloadOptions { Handler = mirror }, Mirrors);

        var fetch = () => downloader.FetchAsync(Remote, _folder.Path, null, source.Token);

        await fetch.Should().ThrowAsync<OperationCanceledException>();
        mirror.Asked.Should().ContainSingle();
        Directory.GetFileSystemEntries(_folder.Path).Should().BeEmpty();
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public async Task A_folder_that_cannot_be_made_is_named_before_anything_is_fetched()
    {
        await File.WriteAllTextAsync(_folder.File("file"), "", Token);
        using var mirror = new FakeMirror(_ => new ByteArrayContent(Packed));
        using var downloader = new Downloader(new DownloadOptions { Handler = mirror }, Mirrors);

        var fetch = () => downloader.FetchAsync(Remote, Path.Combine(_folder.File("file"), "data"), null, Token);

        (await fetch.Should().ThrowAsync<IOException>()).WithMessage("Cannot write*values.gz*");
        mirror.Asked.Should().BeEmpty();
    }

    [Fact]
    public void Options_that_cannot_work_are_refused()
    {
        var noMirrors = () => new Downloader(new DownloadOptions(), []);
        var noTime = () => new Downloader(new DownloadOptions { Timeout = TimeSpan.Zero }, Mirrors);

        noMirrors.Should().Throw<ArgumentException>();
        noTime.Should().Throw<ArgumentOutOfRangeException>();
    }

    private static HttpContent? Broken(string fault)
    {
        return fault switch
        {
            "missing" => null,
            "wrong" => new ByteArrayContent(Idx.Gzip([.. Content[1..], 0])),
            "cut" => new ByteArrayContent(Packed[..^20]),
            "cut at the end" => new ByteArrayContent(Packed[..^5]),
            "longer" => new ByteArrayContent(Idx.Gzip([.. Content, 0])),
            "endless" => new ByteArrayContent(new byte[1_000_000]),
            "page" => new StringContent("<html>Sign in to the network</html>"),
            "silent" => new StreamContent(new SilentStream(Packed[..100])),
            "unreachable" => throw new HttpRequestException("no route"),
            _ => throw new ArgumentOutOfRangeException(nameof(fault)),
        };
    }

    private Task Fetch(FakeMirror mirror) => Fetch(mirror, new DownloadOptions { Handler = mirror, Timeout = TimeSpan.FromMilliseconds(200) });

    private async Task Fetch(FakeMirror mirror, DownloadOptions options, IProgress<DownloadProgress>? progress = null)
    {
        options.Handler.Should().BeSameAs(mirror);
        using var downloader = new Downloader(options, Mirrors);
        await downloader.FetchAsync(Remote, _folder.Path, progress, Token);
    }

    private sealed class Reports : IProgress<DownloadProgress>
    {
        public List<DownloadProgress> Seen { get; } = [];

        public void Report(DownloadProgress value) => Seen.Add(value);
    }
}
