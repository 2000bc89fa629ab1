namespace Diffusion.Core.Data;

/// <summary>How far a download is.</summary>
/// <param name="File">The name of the file.</param>
/// <param name="Received">Bytes received so far.</param>
/// <param name="Total">Bytes of the whole file, or null where the server does not say.</param>
public readonly record struct DownloadProgress(string File, long Received, long? Total);
