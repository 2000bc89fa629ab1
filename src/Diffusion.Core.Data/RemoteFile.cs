namespace Diffusion.Core.Data;

/// <summary>A file that mirrors offer compressed with gzip.</summary>
/// <param name="Name">Its name on the mirrors and on disk.</param>
/// <param name="Length">Bytes of what it holds, decompressed.</param>
/// <param name="Sha256">
/// SHA-256 of what it holds, decompressed, in hexadecimal: mirrors that compressed the same content differently are all as good.
/// </param>
public sealed record RemoteFile(string Name, long Length, string Sha256);
