using System.Text.Json;
using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Saves and loads networks as single safetensors files. The header contains the class and the options of the network, so that a network
/// can be loaded from the file alone. Other libraries can read the weights from the same file.
/// </summary>
/// <remarks>
/// The metadata <c>diffusion_core</c> contains JSON, with the names of the options in snake case:
/// <c>{"type": "UNet", "options": {"image_size": 28, ...}}</c>. Options that are missing in a file have their defaults. Loading a file with
/// unknown options throws an exception.
/// </remarks>
public static class ModelFile
{
    /// <summary>The key of the class and the options in the metadata of the file.</summary>
    public const string MetadataKey = "diffusion_core";

    /// <summary>
    /// Writes a network with its current weights, without conversion to another type. The file is written atomically, and replaces an
    /// existing file.
    /// </summary>
    /// <param name="path">The path of the file. Its folder is created if it does not exist.</param>
    /// <param name="network">The network. It is not modified.</param>
    /// <param name="registry">The known classes. The default is those of this library.</param>
    /// <param name="metadata">Further strings to store in the header, or <see langword="null"/>.</param>
    /// <exception cref="NotSupportedException">The class of the network is not known, or its options cannot be saved.</exception>
    /// <exception cref="IOException">The file cannot be written. An existing file is not changed.</exception>
    public static void Save(
        string path, nn.Module network, NetworkRegistry? registry = null, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        var (type, options) = (registry ?? NetworkRegistry.Default).Describe(network);
        var strings = new Dictionary<string, string>(metadata ?? new Dictionary<string, string>(), StringComparer.Ordinal)
        {
            ["format"] = "pt",
            [MetadataKey] = new JsonObject { ["type"] = type.Name, ["options"] = options }.ToJsonString(),
        };
        ModuleWeights.Save(network, path, strings);
    }

    /// <summary>Reads a network.</summary>
    /// <param name="path">The path of a file written by <see cref="Save"/>.</param>
    /// <param name="registry">The known classes. The default is those of this library.</param>
    /// <param name="device">The device of the network. The default is the CPU.</param>
    /// <returns>
    /// A new network with the weights of the file. If all floating point weights in the file have the same type, the network has this type;
    /// otherwise it is Float32. The caller must dispose the returned network.
    /// </returns>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is damaged, does not specify its network, or contains weights that do not match the network. The sizes of the network are
    /// compared with the weights before memory is allocated.
    /// </exception>
    /// <exception cref="NotSupportedException">The class of the network is not known.</exception>
    public static nn.Module Load(string path, NetworkRegistry? registry = null, Device? device = null)
    {
        var (type, options) = Header(path);
        nn.Module network;
        try
        {
            var known = (registry ?? NetworkRegistry.Default).Find(type);
            network = ModuleWeights.Create(path, () => known.Create(options), options);
        }
        catch (Exception e) when (e is InvalidDataException or ArgumentException)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
        catch (NotSupportedException e)
        {
            throw new NotSupportedException($"{path}: {e.Message}", e);
        }

        try
        {
            if (ModuleWeights.TypeOf(path) is { } common && common != ScalarType.Float32)
                network = network.to(common);
            ModuleWeights.Load(network, path);
            return device is null || device.type == DeviceType.CPU ? network : network.to(device);
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }

    /// <summary>Reads a network of a given class. If the file contains another class, an exception is thrown.</summary>
    /// <inheritdoc cref="Load(string, NetworkRegistry?, Device?)"/>
    public static TNetwork Load<TNetwork>(string path, NetworkRegistry? registry = null, Device? device = null)
        where TNetwork : nn.Module
    {
        var network = Load(path, registry, device);
        if (network is TNetwork typed)
            return typed;
        network.Dispose();
        throw new InvalidDataException($"{path} must hold a {typeof(TNetwork).Name}, it holds a {network.GetType().Name}.");
    }

    private static (string Type, JsonObject Options) Header(string path)
    {
        using var file = SafetensorsFile.Open(path);
        if (!file.Metadata.TryGetValue(MetadataKey, out var text))
            throw new InvalidDataException(
                Invariant($"{path} does not specify its network: its metadata has no '{MetadataKey}'. Construct the network ")
                + $"and use {nameof(ModuleWeights)}.{nameof(ModuleWeights.Load)}.");
        try
        {
            var root = ForeignJson.ParseObject(text);
            return (ForeignJson.Text(root, "type"), ForeignJson.Object(root, "options"));
        }
        catch (JsonException e)
        {
            throw new InvalidDataException(
                Invariant($"{path}: the metadata '{MetadataKey}' must be JSON with a 'type' and 'options': {e.Message}"), e);
        }
    }
}
