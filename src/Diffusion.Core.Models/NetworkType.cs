using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Classes of networks whose architecture is a record of options.</summary>
public static class NetworkType
{
    /// <summary>A class of networks.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="create">A new network of some options.</param>
    /// <param name="optionsOf">The options of a network.</param>
    /// <param name="json">How the options are written, from a <c>JsonSerializerContext</c> of your own.</param>
    public static INetworkType Of<TNetwork, TOptions>(
        string name, Func<TOptions, TNetwork> create, Func<TNetwork, TOptions> optionsOf, JsonTypeInfo<TOptions> json)
        where TNetwork : nn.Module
        where TOptions : class, new()
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(create);
        ArgumentNullException.ThrowIfNull(optionsOf);
        ArgumentNullException.ThrowIfNull(json);
        return new ByOptions<TNetwork, TOptions>(name, create, optionsOf, json);
    }

    private sealed class ByOptions<TNetwork, TOptions>(
        string name, Func<TOptions, TNetwork> create, Func<TNetwork, TOptions> optionsOf, JsonTypeInfo<TOptions> json) : INetworkType
        where TNetwork : nn.Module
        where TOptions : class, new()
    {
        public string Name => name;

        public JsonObject? Describe(nn.Module network)
            => network is TNetwork typed ? JsonSerializer.SerializeToNode(optionsOf(typed), json)!.AsObject() : null;

        public nn.Module Create(JsonObject options)
        {
            // What a file does not say, because it is older than the option, has the default.
            var complete = JsonSerializer.SerializeToNode(new TOptions(), json)!.AsObject();
            foreach (var (key, value) in options)
            {
                if (!complete.ContainsKey(key))
                    throw new InvalidDataException($"{name} has no option '{key}'; it has: {string.Join(", ", complete.Select(pair => pair.Key))}.");
                complete[key] = value?.DeepClone();
            }

            try
            {
                return create(complete.Deserialize(json)!);
            }
            catch (JsonException e)
            {
                throw new InvalidDataException($"The options of {name} cannot be read: {e.Message}", e);
            }
        }
    }
}
