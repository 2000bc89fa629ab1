namespace Diffusion.Core.Data;

/// <summary>The four files of MNIST: names, contents and where they are.</summary>
internal static class MnistFiles
{
    /// <summary>The name of the data set, and of its folder.</summary>
    public const string Name = "mnist";

    /// <summary>All files as they are offered.</summary>
    public static readonly RemoteFile[] All =
    [
        new("train-images-idx3-ubyte.gz", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        new("train-labels-idx1-ubyte.gz", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        new("t10k-images-idx3-ubyte.gz", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        new("t10k-labels-idx1-ubyte.gz", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ];

    /// <summary>Who offers them.</summary>
    public static readonly Uri[] Mirrors =
    [
        new("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        new("https://storage.googleapis.com/cvdf-datasets/mnist/"),
    ];

    /// <summary>The file of the images, without <c>.gz</c>.</summary>
    public static string Images(bool train) => train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte";

    /// <summary>The file of the labels, without <c>.gz</c>.</summary>
    public static string Labels(bool train) => train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte";

    /// <summary>The path of a file, plain or compressed, or null where there is neither.</summary>
    public static string? Find(string folder, string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        string[] candidates = [Path.Combine(folder, name), Path.Combine(folder, name + ".gz")];
        return Array.Find(candidates, File.Exists);
    }

    /// <summary>The path of a file, plain or compressed.</summary>
    /// <exception cref="FileNotFoundException">There is neither.</exception>
    public static string Require(string folder, string name)
        => Find(folder, name)
            ?? throw new FileNotFoundException(
                $"'{name}' or '{name}.gz' is not in '{folder}'. {Advice(folder)}", Path.Combine(folder, name));

    /// <summary>What to do where the files are missing.</summary>
    public static string Advice(string folder)
        => "Where there is a network, Mnist.OpenOrDownload fetches MNIST; elsewhere, put "
            + $"{string.Join(", ", All.Select(file => file.Name))} into '{Path.GetFullPath(folder)}', or set {DataFolder.Variable} to a folder that holds them in a folder '{Name}'.";
}
