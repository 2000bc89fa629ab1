namespace Diffusion.Core.Testing;

/// <summary>Where tests find data: the committed reference values, and data sets that are not ours to ship.</summary>
public static class TestData
{
    /// <summary>The reference values: <c>DIFFUSION_GOLDEN_DIR</c>, or tests/golden of this repository.</summary>
    public static string Golden { get; } = Environment.GetEnvironmentVariable("DIFFUSION_GOLDEN_DIR") is { Length: > 0 } chosen
        ? chosen
        : Path.Combine(Root, "tests", "golden");

    /// <summary>The folder of this repository.</summary>
    public static string Root
    {
        get
        {
            for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            {
                if (File.Exists(Path.Combine(folder.FullName, "Diffusion.Core.sln")))
                    return folder.FullName;
            }

            throw new DirectoryNotFoundException($"No Diffusion.Core.sln above {AppContext.BaseDirectory}.");
        }
    }

    /// <summary>
    /// A folder of data sets: <c>DIFFUSION_DATA_DIR</c>, or shared/data beside the checkout. Skips the running test, saying why, where
    /// there is none.
    /// </summary>
    public static string RequireData(string name)
    {
        var root = Environment.GetEnvironmentVariable("DIFFUSION_DATA_DIR") is { Length: > 0 } chosen
            ? chosen
            : Path.Combine(Root, "..", "shared", "data");
        var folder = Path.Combine(root, name);
        Assert.SkipUnless(Directory.Exists(folder), $"The data set '{name}' is not here (looked in {folder}); set DIFFUSION_DATA_DIR.");
        return folder;
    }
}
