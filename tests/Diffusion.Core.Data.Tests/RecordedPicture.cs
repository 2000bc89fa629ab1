using System.Collections.Concurrent;
using System.Text.Json;
using Diffusion.Core.Testing;

namespace Diffusion.Core.Data.Tests;

/// <summary>A PNG file and the pixels that another library makes of it.</summary>
internal sealed record RecordedPicture(int Width, int Height, int Channels, byte[] File, byte[] Pixels)
{
    private static readonly ConcurrentDictionary<string, IReadOnlyDictionary<string, RecordedPicture>> s_files = [];

    /// <summary>The pictures of a file by their names. Skips the running test where the file is missing.</summary>
    public static IReadOnlyDictionary<string, RecordedPicture> Require(string fileName)
    {
        var path = Path.Combine(TestData.Golden, "images", fileName);
        Assert.SkipUnless(System.IO.File.Exists(path), $"There is no {path}.");
        return s_files.GetOrAdd(path, Read);
    }

    private static Dictionary<string, RecordedPicture> Read(string path)
    {
        using var json = JsonDocument.Parse(System.IO.File.ReadAllBytes(path));
        return json.RootElement.GetProperty("cases").EnumerateArray().ToDictionary(
            item => item.GetProperty("name").GetString()!,
            item => new RecordedPicture(
                item.GetProperty("width").GetInt32(),
                item.GetProperty("height").GetInt32(),
                item.GetProperty("channels").GetInt32(),
                item.GetProperty("png").GetBytesFromBase64(),
                item.GetProperty("pixels").GetBytesFromBase64()));
    }
}
