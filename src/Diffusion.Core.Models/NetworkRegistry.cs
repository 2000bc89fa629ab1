using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The classes of networks that model files can hold, by name. Immutable: <see cref="With"/> makes a larger one.</summary>
public sealed class NetworkRegistry
{
    private readonly Dictionary<string, INetworkType> _types;

    private NetworkRegistry(IEnumerable<INetworkType> types) => _types = types.ToDictionary(type => type.Name, StringComparer.Ordinal);

    /// <summary>The networks of this library.</summary>
    public static NetworkRegistry Default { get; } = new(
    [
        NetworkType.Of<UNet, UNetOptions>(nameof(UNet), options => new UNet(options), network => network.Options, NetworkJson.Shared.UNetOptions),
        NetworkType.Of<MlpDenoiser, MlpDenoiserOptions>(
            nameof(MlpDenoiser), options => new MlpDenoiser(options), network => network.Options, NetworkJson.Shared.MlpDenoiserOptions),
    ]);

    /// <summary>The names, in ordinal order.</summary>
    public IEnumerable<string> Names => _types.Keys.Order(StringComparer.Ordinal);

    /// <summary>The same with one more class of networks, which takes the place of one of its name.</summary>
    public NetworkRegistry With(INetworkType type)
    {
        ArgumentNullException.ThrowIfNull(type);
        return new NetworkRegistry(_types.Values.Where(other => other.Name != type.Name).Append(type));
    }

    /// <summary>The class of a name.</summary>
    /// <exception cref="NotSupportedException">There is none.</exception>
    public INetworkType Find(string name) => _types.TryGetValue(name, out var type)
        ? type
        : throw new NotSupportedException($"There is no class of networks '{name}'; there are: {string.Join(", ", Names)}. Add yours with {nameof(With)}.");

    /// <summary>The class and the options of a network.</summary>
    /// <exception cref="NotSupportedException">Its class is not known.</exception>
    internal (INetworkType Type, JsonObject Options) Describe(nn.Module network)
    {
        foreach (var type in _types.Values)
        {
            if (type.Describe(network) is { } options)
                return (type, options);
        }

        throw new NotSupportedException(
            $"{network.GetType().Name} is no class of networks that files can hold; there are: {string.Join(", ", Names)}. Add yours with {nameof(With)}.");
    }
}
