namespace Diffusion.Core.Data;

/// <summary>Where data sets that are files are looked for when no folder is given.</summary>
public static class DataFolder
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
