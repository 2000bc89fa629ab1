using System.IO.Compression;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Data;

/// <summary>
/// Downloads files from the first mirror that sends them with the correct hash. A file appears under its name only if its hash is correct.
/// </summary>
internal sealed partial class Downloader : IDisposable
{
    private const int Block = 1 << 16;

    private readonly DownloadOptions _options;
    private readonly IReadOnlyList<Uri> _mirrors;
    private readonly HttpClient _client;

    /// <summary>Creates a downloader.</summary>
    /// <param name="options">The mirrors, the timeout, the message handler and the logger.</param>
    /// <param name="mirrors">The base addresses to try in turn, unless the options specify others.</param>
    /// <exception cref="ArgumentException">There are no mirrors, or the timeout is not positive.</exception>
    public Downloader(DownloadOptions options, IReadOnlyList<Uri> mirrors)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(mirrors);
        (_options, _mirrors) = (options, options.Mirrors ?? mirrors);
        if (_mirrors.Count == 0)
            throw new ArgumentException("There must be at least one mirror, got none.", nameof(options));
        if (options.Timeout <= TimeSpan.Zero)
            throw new ArgumentOutOfRangeException(
                nameof(options), options.Timeout, Invariant($"The timeout must be positive, got {options.Timeout}."));
        _client = options.Handler is null ? new HttpClient() : new HttpClient(options.Handler, disposeHandler: false);
        _client.Timeout = Timeout.InfiniteTimeSpan;
    }

    /// <summary>Downloads a file to a folder, compressed as it is on the mirror. An existing file of the same name is replaced.</summary>
    /// <param name="file">The file to download.</param>
    /// <param name="folder">The folder. It is created if it does not exist.</param>
    /// <param name="progress">Receives the progress.</param>
    /// <param name="cancellationToken">Cancels the download.</param>
    /// <exception cref="IOException">No mirror sent a file with the correct hash, or the file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled. An incomplete file is deleted.</exception>
    public async Task FetchAsync(RemoteFile file, string folder, IProgress<DownloadProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(file);
        var failures = new List<Exception>();
        using var target = new AtomicFile(Path.Combine(folder, file.Name));
        foreach (var mirror in _mirrors)
        {
            var address = new Uri($"{mirror.AbsoluteUri.TrimEnd('/')}/{file.Name}");
            try
            {
                target.Stream.SetLength(0);
                await ReceiveAsync(address, file, target.Stream, progress, cancellationToken).ConfigureAwait(false);
                await VerifyAsync(file, target.Stream, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is HttpRequestException or IOException or InvalidDataException or TimeoutException)
            {
                failures.Add(new IOException(Invariant($"{address}: {e.Message.TrimEnd('.')}"), e));
                if (_options.Logger is { } logger)
                    LogFailed(logger, address, e.Message);
                continue;
            }

            target.Commit();
            if (_options.Logger is { } log)
                LogReceived(log, file.Name, address, folder);
            return;
        }

        throw new IOException(
            Invariant($"'{file.Name}' could not be downloaded: {string.Join("; ", failures.Select(failure => failure.Message))}."),
            new AggregateException(failures));
    }

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();

    private async Task ReceiveAsync(
        Uri address, RemoteFile file, Stream target, IProgress<DownloadProgress>? progress, CancellationToken cancellationToken)
    {
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            silence.CancelAfter(_options.Timeout);
            using var response = await _client
                .GetAsync(address, HttpCompletionOption.ResponseHeadersRead, silence.Token)
                .ConfigureAwait(false);
            response.EnsureSuccessStatusCode();
            using var content = await response.Content.ReadAsStreamAsync(silence.Token).ConfigureAwait(false);
            var buffer = new byte[Block];
            var received = 0L;
            while (await content.ReadAsync(buffer, silence.Token).ConfigureAwait(false) is var count and > 0)
            {
                silence.CancelAfter(_options.Timeout);
                received += count;
                if (received > file.Length + Block)
                    throw new InvalidDataException(Invariant($"expected at most {file.Length + Block} bytes, got more"));
                await target.WriteAsync(buffer.AsMemory(0, count), cancellationToken).ConfigureAwait(false);
                progress?.Report(new DownloadProgress(file.Name, received, response.Content.Headers.ContentLength));
            }
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException(Invariant($"no data was received for {_options.Timeout.TotalSeconds:0.###} seconds"), e);
        }
    }

    private static async Task VerifyAsync(RemoteFile file, Stream stream, CancellationToken cancellationToken)
    {
        stream.Position = 0;
        using var content = new GZipStream(stream, CompressionMode.Decompress, leaveOpen: true);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[Block];
        var length = 0L;
        while (await content.ReadAsync(buffer, cancellationToken).ConfigureAwait(false) is var count and > 0)
        {
            length += count;
            if (length > file.Length)
                throw new InvalidDataException($"expected {file.Length} decompressed bytes, got more");
            hash.AppendData(buffer, 0, count);
        }

        var actual = Convert.ToHexStringLower(hash.GetHashAndReset());
        if (!actual.Equals(file.Sha256, StringComparison.OrdinalIgnoreCase))
            throw new InvalidDataException(
                Invariant($"expected {file.Length} decompressed bytes with SHA-256 {file.Sha256}, got {length} with {actual}"));
        GzipTrailer.Require(stream, length);
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Information, Message = "Downloaded {File} from {Address} to {Folder}.")]
    private static partial void LogReceived(ILogger logger, string file, Uri address, string folder);

    [LoggerMessage(EventId = 2, Level = LogLevel.Warning, Message = "Download from {Address} failed: {Reason}.")]
    private static partial void LogFailed(ILogger logger, Uri address, string reason);
}

/// <summary>The options of downloads.</summary>
public sealed class DownloadOptions
{
    /// <summary>
    /// The base addresses to try in turn. The default is <see langword="null"/>: the public mirrors of the data set. Files from every
    /// mirror are checked against the known SHA-256 hash.
    /// </summary>
    public IReadOnlyList<Uri>? Mirrors { get; init; }

    /// <summary>The maximum time without data from a server, after which the next mirror is tried. The default is 30 seconds.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// The handler that sends the requests, for example through a proxy. It is not disposed. The default is <see langword="null"/>: a new
    /// <see cref="HttpClientHandler"/>.
    /// </summary>
    public HttpMessageHandler? Handler { get; init; }

    /// <summary>The logger of completed and failed downloads. The default is <see langword="null"/>: nothing is logged.</summary>
    public ILogger? Logger { get; init; }
}

/// <summary>The progress of a download.</summary>
/// <param name="File">The name of the file.</param>
/// <param name="Received">The number of bytes received so far.</param>
/// <param name="Total">The size of the file in bytes, or <see langword="null"/> if the server does not report it.</param>
public readonly record struct DownloadProgress(string File, long Received, long? Total);

/// <summary>A file that mirrors provide, compressed with gzip.</summary>
/// <param name="Name">The name on the mirrors and on disk.</param>
/// <param name="Length">The number of bytes of the decompressed content.</param>
/// <param name="Sha256">
/// The SHA-256 hash of the decompressed content, in hexadecimal. It does not depend on the compression, which may differ between mirrors.
/// </param>
internal sealed record RemoteFile(string Name, long Length, string Sha256);

/// <summary>The default folders of data sets that are read from files.</summary>
internal static class DataFolder
{
    /// <summary>The environment variable with the path of a folder that contains a folder for each data set.</summary>
    public const string Variable = "DIFFUSION_DATA_DIR";

    /// <summary>
    /// Returns the folder of a data set: a subfolder of the folder in the environment variable <see cref="Variable"/>, or of <c>data</c> in
    /// the current directory if the variable is not set.
    /// </summary>
    /// <param name="dataset">The name of the data set, such as <c>mnist</c>.</param>
    public static string For(string dataset)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(dataset);
        var root = Environment.GetEnvironmentVariable(Variable);
        return Path.Combine(string.IsNullOrWhiteSpace(root) ? "data" : root, dataset);
    }
}
