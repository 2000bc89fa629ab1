using Microsoft.Extensions.Logging;

namespace Diffusion.Core.Data;

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

    /// <summary>Told after each block received.</summary>
    public IProgress<DownloadProgress>? Progress { get; init; }

    /// <summary>Told of mirrors that failed and of files that arrived.</summary>
    public ILogger? Logger { get; init; }
}
