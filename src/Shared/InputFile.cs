using System.Diagnostics.CodeAnalysis;

namespace Diffusion.Core;

/// <summary>Opens files that the caller names.</summary>
[ExcludeFromCodeCoverage]
internal static class InputFile
{
    /// <summary>The size of the largest text that is read, in bytes. Texts are settings, vocabularies and indices.</summary>
    public const long MaxTextBytes = 100_000_000;

    /// <summary>Throws unless the path is that of a file.</summary>
    /// <exception cref="FileNotFoundException">There is no such file or no such folder, or it is a folder.</exception>
    public static void Require(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path))
            throw new FileNotFoundException(
                Directory.Exists(path) ? $"{path} must be a file, but it is a folder." : $"There is no file {path}.", path);
    }

    /// <summary>Returns the text of a file.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file has more than <see cref="MaxTextBytes"/> bytes.</exception>
    public static string ReadText(string path)
    {
        Require(path);
        if (new FileInfo(path).Length is var length and > MaxTextBytes)
            throw new InvalidDataException($"{path}: must have at most {MaxTextBytes} bytes, got {length}.");
        return File.ReadAllText(path);
    }
}
