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
    /// <param name="optionsOf">The options of a network; null for one that was not made of options.</param>
    /// <param name="defaults">What options have that a file does not name.</param>
    /// <param name="json">How the options are written, from a <c>JsonSerializerContext</c> of your own.</param>
    public static INetworkType Of<TNetwork, TOptions>(
        string name, Func<TOptions, TNetwork> create, Func<TNetwork, TOptions?> optionsOf, TOptions defaults, JsonTypeInfo<TOptions> json)
        where TNetwork : nn.Module
        where TOptions : class
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(create);
        ArgumentNullException.ThrowIfNull(optionsOf);
        ArgumentNullException.ThrowIfNull(defaults);
        ArgumentNullException.ThrowIfNull(json);
        return new ByOptions<TNetwork, TOptions>(name, create, optionsOf, defaults, json);
    }

    private sealed class ByOptions<TNetwork, TOptions>(
        string name, Func<TOptions, TNetwork> create, Func<TNetwork, TOptions?> optionsOf, TOptions defaults, JsonTypeInfo<TOptions> json)
        : INetworkType
        where TNetwork : nn.Module
        where TOptions : class
    {
        public string Name => name;

        public JsonObject? Describe(nn.Module network)
        {
            if (network is not TNetwork typed)
                return null;
            var options = optionsOf(typed)
                ?? throw new NotSupportedException(
                    $"This {name} was made of networks of one's own, which a file cannot name; save its weights instead.");
            return JsonSerializer.SerializeToNode(options, json)!.AsObject();
        }

        public nn.Module Create(JsonObject options)
        {
            ArgumentNullException.ThrowIfNull(options);
            try
            {
                return create(OptionsJson.Complete(options, defaults, json));
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
            {
                throw new InvalidDataException($"The options of {name} cannot be read: {e.Message}", e);
            }
        }
    }
}
