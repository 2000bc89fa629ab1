using System.Security.Cryptography;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests.Support;

/// <summary>State compared bit for bit.</summary>
public static class Bits
{
    /// <summary>The SHA-256 of the values of a tensor.</summary>
    public static string Of(Tensor tensor)
    {
        using var scope = NewDisposeScope();
        return Convert.ToHexString(SHA256.HashData(tensor.detach().cpu().contiguous().bytes));
    }

    /// <summary>The whole state of a checkpoint folder, file by file.</summary>
    public static Dictionary<string, string> OfFolder(string folder) => Directory.EnumerateFiles(folder)
        .ToDictionary(path => Path.GetFileName(path), OfFile);

    /// <summary>The SHA-256 of a file.</summary>
    public static string OfFile(string path) => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(path)));
}
