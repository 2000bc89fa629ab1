using System.Text.Json;
using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A network as one file: its weights, and in the header what class it is and with which options, so that loading needs nothing but the
/// file. It is a safetensors file, which others read as one.
/// </summary>
/// <remarks>
/// The metadata <c>diffusion_core</c> is JSON: <c>{"type": "UNet", "options": {"image_size": 28, ...}}</c>, the options by their names in
/// snake case. Options that a file does not name have their defaults; unknown ones throw an exception.
/// </remarks>
public static class ModelFile
{
    /// <summary>The key of the metadata.</summary>
    public const string MetadataKey = "diffusion_core";

    /// <summary>Writes a network, with the weights it has now, in the type they have. The file appears whole or not at all.</summary>
    /// <param name="path">The file; its folder is created where it is missing.</param>
    /// <param name="network">The network; not changed.</param>
    /// <param name="registry">The known classes. The default is those of this library.</param>
    /// <param name="metadata">More strings to store in the header, or null.</param>
    /// <exception cref="NotSupportedException">The class of the network, or one of its strategies, is not known.</exception>
    /// <exception cref="IOException">The file cannot be written; nothing remains.</exception>
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
    /// <param name="path">A file that <see cref="Save"/> wrote.</param>
    /// <param name="registry">The known classes. The default is those of this library.</param>
    /// <param name="device">The device of the network. The default is the CPU.</param>
    /// <returns>
    /// A new network with the weights of the file, in their type where all have the same. The caller must dispose the returned tensor.
    /// </returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is damaged, does not specify its network, or contains other weights.</exception>
    /// <exception cref="NotSupportedException">The class of the network is not known.</exception>
    public static nn.Module Load(string path, NetworkRegistry? registry = null, Device? device = null)
    {
        var (type, options) = Header(path);
        nn.Module network;
        try
        {
            network = (registry ?? NetworkRegistry.Default).Find(type).Create(options);
        }
        catch (Exception e) when (e is InvalidDataException or ArgumentException)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
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

    /// <summary>Reads a network of a class that is known beforehand.</summary>
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
                $"{path} does not specify its network: its metadata has no '{MetadataKey}'. Construct the network "
                + $"and use {nameof(ModuleWeights)}.{nameof(ModuleWeights.Load)}.");
        try
        {
            var root = JsonNode.Parse(text)!.AsObject();
            return (root["type"]!.GetValue<string>(), root["options"]!.AsObject());
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException or NullReferenceException)
        {
            throw new InvalidDataException(
                $"{path}: the metadata '{MetadataKey}' must be JSON with a 'type' and 'options', got {text}.", e);
        }
    }
}
