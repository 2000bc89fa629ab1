using Diffusion.Core.Testing;

namespace Diffusion.Core.Diffusers.Tests;

/// <summary>Recorded cases of this repository, and those of another folder of reference values where one is named.</summary>
internal static class ClipFolders
{
    /// <summary>Folders below one of the reference values that hold a file whose text has a mark in it, as full paths.</summary>
    public static TheoryData<string> Find(string below, string file, string mark)
    {
        string[] roots = [Path.Combine(TestData.Root, "tests", "golden"), TestData.Golden];
        return
        [
            .. roots.Distinct().Select(root => Path.Combine(root, below)).Where(Directory.Exists)
                .SelectMany(root => Directory.GetFiles(root, file, SearchOption.AllDirectories))
                .Where(path => File.ReadAllText(path).Contains(mark, StringComparison.Ordinal))
                .Select(path => Path.GetDirectoryName(path)!)
                .Order(StringComparer.Ordinal),
        ];
    }
}
