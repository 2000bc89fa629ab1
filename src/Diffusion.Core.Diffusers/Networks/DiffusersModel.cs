using Diffusion.Core.Models;
using Microsoft.Extensions.Logging;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// A network with its configuration, as stored in a folder of diffusers or transformers with a <c>config.json</c> and weights.
/// <c>using var model = DiffusersModel.Load("unet"); var unet = (UNet)model.Network;</c>
/// </summary>
public sealed class DiffusersModel : IDisposable
{
    /// <summary>The default maximum size of a weights file in bytes: 10 GB, as in diffusers.</summary>
    public const long DefaultMaxShardBytes = 10_000_000_000;

    private readonly IModelMapping _mapping;

    private DiffusersModel(IModelMapping mapping, ModelConfig config, nn.Module network, WeightReport? weights)
    {
        (_mapping, Config, Network, Weights) = (mapping, config, network, weights);
        UnknownSettings = weights is null ? [] : config.Unread;
    }

    /// <summary>The network. It is disposed with this object.</summary>
    public nn.Module Network { get; }

    /// <summary>
    /// The configuration of the network, as it was read or as diffusers would write it. <see cref="Save"/> writes it unchanged.
    /// </summary>
    public ModelConfig Config { get; }

    /// <summary>The names of the settings in the folder that the mapping of the network did not read.</summary>
    public IReadOnlyList<string> UnknownSettings { get; }

    /// <summary>The conversions of the weights, or <see langword="null"/> for a network that was not read from a folder.</summary>
    public WeightReport? Weights { get; }

    /// <summary>The library that contains the class, as named in pipelines.</summary>
    internal string Library => _mapping.Library;

    /// <summary>Reads a network and its weights from a folder. The network is in evaluation mode.</summary>
    /// <param name="folder">
    /// A folder with <c>config.json</c> and weights, either in one safetensors file or in several with an index.
    /// </param>
    /// <param name="options">
    /// The supported classes, the type and the device. The default is a new <see cref="DiffusersOptions"/>.
    /// </param>
    /// <param name="className">The class of the network. The default is the class that the configuration specifies.</param>
    /// <exception cref="FileNotFoundException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged, a setting has the wrong type, the settings are inconsistent, or the weights do not match the network. The sizes
    /// in the configuration are compared with the weights before memory is allocated.
    /// </exception>
    /// <exception cref="NotSupportedException">
    /// The class or a setting is not supported; the message contains the name and the value.
    /// </exception>
    public static DiffusersModel Load(string folder, DiffusersOptions? options = null, string? className = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        options ??= new DiffusersOptions();
        var config = ModelConfig.Read(Path.Combine(folder, ModelConfig.FileName), className);
        var mapping = options.Table.Model(config.ClassName);
        var weights = WeightsIn(folder, mapping, options.Variant);
        var network = Create(mapping, config, folder, weights);
        try
        {
            if ((options.Dtype ?? ModuleWeights.TypeOf(weights)) is { } dtype && dtype != ScalarType.Float32)
                network = network.to(dtype);
            var report = ModuleWeights.Load(
                network, weights, new WeightOptions { Rename = mapping.Rename, IgnoreTrailingOnes = true });
            if (options.Device is { } device && device.type != DeviceType.CPU)
                network = network.to(device);
            network.eval();
            var model = new DiffusersModel(mapping, config, network, report);
            model.Log(options.Logger, folder);
            return model;
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }

    /// <summary>Creates the configuration of a network of this library.</summary>
    /// <param name="network">The network. It is disposed with the returned object.</param>
    /// <param name="table">The supported classes. The default is <see cref="DiffusersTable.Default"/>.</param>
    /// <exception cref="NotSupportedException">diffusers has no such network, or does not support its options.</exception>
    public static DiffusersModel Of(nn.Module network, DiffusersTable? table = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        var (mapping, config) = (table ?? DiffusersTable.Default).Describe(network);
        return new DiffusersModel(mapping, config, network, weights: null);
    }

    /// <summary>
    /// Writes a folder that diffusers can read, with the current weights. Either all files are written, or the folder is not changed.
    /// </summary>
    /// <param name="folder">The folder. It is created if it does not exist.</param>
    /// <param name="maxShardBytes">
    /// The maximum size of a weights file in bytes. Larger weights are split into several files with an index.
    /// </param>
    /// <exception cref="IOException">The folder cannot be written. Its contents are not changed.</exception>
    public void Save(string folder, long maxShardBytes = DefaultMaxShardBytes)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        using var staged = new StagedFolder(folder);
        WriteTo(staged.Path, maxShardBytes);
        staged.Commit(file => Safetensors.IsFileOf(_mapping.WeightsName, file));
    }

    /// <summary>Disposes the network.</summary>
    public void Dispose() => Network.Dispose();

    /// <summary>Returns whether a file may be a weights file of an earlier save.</summary>
    internal bool IsObsolete(string file) => Safetensors.IsFileOf(_mapping.WeightsName, file);

    /// <summary>Writes the configuration and the weights to a new folder.</summary>
    internal void WriteTo(string folder, long maxShardBytes)
    {
        Config.Save(Path.Combine(folder, ModelConfig.FileName));
        Safetensors.WriteSharded(
            folder,
            _mapping.WeightsName,
            Network.state_dict().Select(pair => SafetensorsSource.Of(pair.Key, pair.Value)),
            maxShardBytes,
            new Dictionary<string, string> { ["format"] = "pt" });
    }

    private static nn.Module Create(IModelMapping mapping, ModelConfig config, string folder, string weights)
    {
        try
        {
            return ModuleWeights.Create(weights, () => mapping.Create(config), config.Copy());
        }
        catch (Exception e) when (e is ArgumentException or OverflowException)
        {
            throw new InvalidDataException($"{folder}: the settings of {config.ClassName} are inconsistent: {e.Message}", e);
        }
    }

    /// <summary>Returns the path of the index or of the file of the weights; null if there is neither.</summary>
    internal static string? FindWeights(string folder, IModelMapping mapping, string? variant)
    {
        string[] names = variant is null
            ? [$"{mapping.WeightsName}.safetensors.index.json", $"{mapping.WeightsName}.safetensors"]
            : [$"{mapping.WeightsName}.safetensors.index.{variant}.json", $"{mapping.WeightsName}.{variant}.safetensors"];
        return names.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
    }

    private static string WeightsIn(string folder, IModelMapping mapping, string? variant)
    {
        if (FindWeights(folder, mapping, variant) is { } path)
            return path;
        string[] present = [.. DiskFile.List(folder).Select(file => Path.GetFileName(file)!).Order(StringComparer.Ordinal)];
        var name = mapping.WeightsName + (variant is null ? "" : "." + variant);
        var (start, end) = (mapping.WeightsName + ".", ".safetensors");
        string[] variants =
        [
            .. present.Where(file => file.Length > start.Length + end.Length
                    && file.StartsWith(start, StringComparison.Ordinal) && file.EndsWith(end, StringComparison.Ordinal))
                .Select(file => file[start.Length..^end.Length]).Where(found => !found.Contains('.')),
        ];
        throw new FileNotFoundException(
            Invariant($"{folder} has no {name}.safetensors; it has: {string.Join(", ", present)}. ")
            + (variants.Length > 0
                ? Invariant($"Set {nameof(DiffusersOptions)}.{nameof(DiffusersOptions.Variant)} to {string.Join(" or ", variants)}.")
                : "Weights in other formats (.bin, .ckpt) are not read, because reading them can run code."));
    }

    private void Log(ILogger logger, string folder)
    {
        if (UnknownSettings.Count > 0)
            logger.UnknownSettings(folder, Config.ClassName, string.Join(", ", UnknownSettings));
        if (Weights!.Converted is { Count: > 0 } converted)
            logger.Converted(folder, converted.Count, converted[0]);
        if (Weights.Renamed is { Count: > 0 } renamed)
            logger.Renamed(folder, renamed.Count, renamed[0]);
    }
}
