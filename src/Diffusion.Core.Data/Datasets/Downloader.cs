using System.IO.Compression;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Data;

/// <summary>Fetches files from the first mirror that sends the right ones. A file that is not right never gets its name.</summary>
internal sealed partial class Downloader : IDisposable
{
    private const int Block = 1 << 16;

    private readonly DownloadOptions _options;
    private readonly IReadOnlyList<Uri> _mirrors;
    private readonly HttpClient _client;

    /// <summary>A downloader over some mirrors.</summary>
    /// <param name="options">Time limit, progress, log, and mirrors to use instead.</param>
    /// <param name="mirrors">Folders on the web to try in turn, unless the options name others.</param>
    /// <exception cref="ArgumentException">There are no mirrors, or the time limit is not positive.</exception>
    public Downloader(DownloadOptions options, IReadOnlyList<Uri> mirrors)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(mirrors);
        (_options, _mirrors) = (options, options.Mirrors ?? mirrors);
        if (_mirrors.Count == 0)
            throw new ArgumentException("There must be at least one mirror, got none.", nameof(options));
        if (options.Timeout <= TimeSpan.Zero)
            throw new ArgumentOutOfRangeException(
                nameof(options), options.Timeout, $"The timeout must be positive, got {options.Timeout}.");
        _client = options.Handler is null ? new HttpClient() : new HttpClient(options.Handler, disposeHandler: false);
        _client.Timeout = Timeout.InfiniteTimeSpan;
    }

    /// <summary>Puts a file into a folder, compressed as the mirror sent it. Replaces one of that name.</summary>
    /// <param name="file">What to fetch.</param>
    /// <param name="folder">The folder, created where it is missing.</param>
    /// <param name="progress">Receives the progress.</param>
    /// <param name="cancellationToken">Stops the download.</param>
    /// <exception cref="IOException">No mirror sent the right file, or it cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; nothing is left behind.</exception>
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
                failures.Add(new IOException($"{address}: {e.Message.TrimEnd('.')}", e));
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
            $"'{file.Name}' could not be downloaded: {string.Join("; ", failures.Select(failure => failure.Message))}.",
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
                    throw new InvalidDataException($"expected at most {file.Length + Block} bytes, got more");
                await target.WriteAsync(buffer.AsMemory(0, count), cancellationToken).ConfigureAwait(false);
                progress?.Report(new DownloadProgress(file.Name, received, response.Content.Headers.ContentLength));
            }
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"nothing came for {_options.Timeout.TotalSeconds:0.###} seconds", e);
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
                $"expected {file.Length} decompressed bytes with SHA-256 {file.Sha256}, got {length} with {actual}");
        GzipTrailer.Require(stream, length);
    }

    [LoggerMessage(EventId = 1, Level = LogLevel.Information, Message = "Downloaded {File} from {Address} to {Folder}.")]
    private static partial void LogReceived(ILogger logger, string file, Uri address, string folder);

    [LoggerMessage(EventId = 2, Level = LogLevel.Warning, Message = "Download from {Address} failed: {Reason}.")]
    private static partial void LogFailed(ILogger logger, Uri address, string reason);
}

/// <summary>How data sets are downloaded.</summary>
public sealed class DownloadOptions
{
    /// <summary>
    /// Folders on the web to try in turn; the public mirrors of the data set where null. What they send is checked against the known
    /// checksum in any case.
    /// </summary>
    public IReadOnlyList<Uri>? Mirrors { get; init; }

    /// <summary>The longest time in which a server may send nothing, before the next mirror is tried.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>What sends the requests, as a proxy needs; not disposed. A plain one where null.</summary>
    public HttpMessageHandler? Handler { get; init; }

    /// <summary>The logger that receives failed mirrors and received files.</summary>
    public ILogger? Logger { get; init; }
}

/// <summary>How far a download is.</summary>
/// <param name="File">The name of the file.</param>
/// <param name="Received">Bytes received so far.</param>
/// <param name="Total">Bytes of the whole file, or <see langword="null"/> where the server does not state it.</param>
public readonly record struct DownloadProgress(string File, long Received, long? Total);

/// <summary>A file that mirrors offer compressed with gzip.</summary>
/// <param name="Name">Its name on the mirrors and on disk.</param>
/// <param name="Length">Bytes of what it holds, decompressed.</param>
/// <param name="Sha256">
/// SHA-256 of what it holds, decompressed, in hexadecimal: mirrors that compressed the same content differently are all as good.
/// </param>
internal sealed record RemoteFile(string Name, long Length, string Sha256);

/// <summary>Where data sets that are files are looked for when no folder is given.</summary>
internal static class DataFolder
{
    /// <summary>The environment variable that names a folder with one folder for each data set.</summary>
    public const string Variable = "DIFFUSION_DATA_DIR";

    /// <summary>
    /// The folder of a data set: below the folder that the environment variable <see cref="Variable"/> names, or below <c>data</c> in the
    /// current directory where it is not set.
    /// </summary>
    /// <param name="dataset">The name of the data set, as <c>mnist</c>.</param>
    public static string For(string dataset)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(dataset);
        var root = Environment.GetEnvironmentVariable(Variable);
        return Path.Combine(string.IsNullOrWhiteSpace(root) ? "data" : root, dataset);
    }
}
