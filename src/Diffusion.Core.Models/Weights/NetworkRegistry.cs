using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The classes of networks that model files can hold, by name. Immutable: <see cref="With"/> returns a larger one.</summary>
public sealed class NetworkRegistry
{
    private readonly Dictionary<string, NetworkType> _types;

    private NetworkRegistry(IEnumerable<NetworkType> types) => _types = types.ToDictionary(type => type.Name, StringComparer.Ordinal);

    /// <summary>The networks of this library.</summary>
    public static NetworkRegistry Default { get; } = new(
    [
        NetworkType.Of(
            nameof(UNet),
            layout => new UNet(layout),
            (UNet network) => network.Layout,
            new UNetLayout { Levels = [] },
            NetworkJson.Shared.UNetLayout),
        NetworkType.Of(
            nameof(ClipTextEncoder),
            options => new ClipTextEncoder(options),
            (ClipTextEncoder network) => network.Options,
            new ClipTextEncoderOptions(),
            NetworkJson.Shared.ClipTextEncoderOptions),
        NetworkType.Of(
            nameof(DiT),
            options => new DiT(options),
            (DiT network) => network.Options,
            new DiTOptions(),
            NetworkJson.Shared.DiTOptions),
        NetworkType.Of(
            nameof(UViT),
            options => new UViT(options),
            (UViT network) => network.Options,
            new UViTOptions(),
            NetworkJson.Shared.UViTOptions),
        NetworkType.Of(
            nameof(ViTDenoiser),
            options => new ViTDenoiser(options),
            (ViTDenoiser network) => network.Options,
            new ViTDenoiserOptions(),
            NetworkJson.Shared.ViTDenoiserOptions),
        NetworkType.Of(
            nameof(SwinDenoiser),
            options => new SwinDenoiser(options),
            (SwinDenoiser network) => network.Options,
            new SwinDenoiserOptions(),
            NetworkJson.Shared.SwinDenoiserOptions),
        NetworkType.Of(
            nameof(MlpDenoiser),
            options => new MlpDenoiser(options),
            (MlpDenoiser network) => network.Options,
            new MlpDenoiserOptions(),
            NetworkJson.Shared.MlpDenoiserOptions),
        NetworkType.Of(
            nameof(AutoencoderKL),
            options => new AutoencoderKL(options),
            (AutoencoderKL network) => network.Options,
            new AutoencoderKLOptions(),
            NetworkJson.Shared.AutoencoderKLOptions),
        NetworkType.Of(
            nameof(VQModel),
            options => new VQModel(options),
            (VQModel network) => network.Options,
            new VQModelOptions(),
            NetworkJson.Shared.VQModelOptions),
        NetworkType.Of(
            nameof(Vae),
            options => new Vae(options),
            (Vae network) => network.Options,
            new VaeOptions { Body = new ConvolutionalBody() },
            NetworkJson.Shared.VaeOptions),
        NetworkType.Of(
            nameof(Autoencoder),
            description => new Autoencoder(description.Body),
            (Autoencoder network) => network.Body is { } body ? new AutoencoderDescription { Body = body } : null,
            new AutoencoderDescription { Body = new ConvolutionalBody() },
            NetworkJson.Shared.AutoencoderDescription),
    ]);

    /// <summary>The names, in ordinal order.</summary>
    public IEnumerable<string> Names => _types.Keys.Order(StringComparer.Ordinal);

    /// <summary>The same with one more class of networks, which takes the place of one of its name.</summary>
    public NetworkRegistry With(NetworkType type)
    {
        ArgumentNullException.ThrowIfNull(type);
        return new NetworkRegistry(_types.Values.Where(other => other.Name != type.Name).Append(type));
    }

    /// <summary>The class of a name.</summary>
    /// <exception cref="NotSupportedException">There is none.</exception>
    public NetworkType Find(string name) => _types.TryGetValue(name, out var type)
        ? type
        : throw new NotSupportedException(
            $"There is no class of networks '{name}'; there are: {string.Join(", ", Names)}. Add yours with {nameof(With)}.");

    /// <summary>The class and the options of a network as model files have them, under <c>type</c> and <c>options</c>.</summary>
    /// <returns>Null where its class, or one of its strategies, is not known.</returns>
    public JsonObject? TryDescribe(nn.Module network)
    {
        ArgumentNullException.ThrowIfNull(network);
        try
        {
            var (type, options) = Describe(network);
            return new JsonObject { ["type"] = type.Name, ["options"] = options };
        }
        catch (NotSupportedException)
        {
            return null;
        }
    }

    /// <summary>The class and the options of a network.</summary>
    /// <exception cref="NotSupportedException">Its class is not known.</exception>
    internal (NetworkType Type, JsonObject Options) Describe(nn.Module network)
    {
        foreach (var type in _types.Values)
        {
            if (type.Describe(network) is { } options)
                return (type, options);
        }

        throw new NotSupportedException(
            $"{network.GetType().Name} is no class of networks that files can hold; there are: "
            + $"{string.Join(", ", Names)}. Add yours with {nameof(With)}.");
    }
}

/// <summary>
/// A class of networks as model files know it: by name, and from options to network and back. <see cref="NetworkType.Of"/> creates one from
/// a
/// record of options; implement it where that does not do.
/// </summary>
public abstract class NetworkType
{
    /// <summary>The name in files, such as <c>UNet</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The options of a network of this class; null for a network of another.</summary>
    /// <exception cref="NotSupportedException">An option is one that a file cannot hold, such as a strategy of the user's own.</exception>
    public abstract JsonObject? Describe(nn.Module network);

    /// <summary>A new network of these options, with fresh weights, on the CPU, in float32.</summary>
    /// <exception cref="InvalidDataException">An option is unknown, missing, or of the wrong type.</exception>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
    public abstract nn.Module Create(JsonObject options);

    /// <summary>A class of networks.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="create">A new network of some options.</param>
    /// <param name="optionsOf">The options of a network; null for one that was not constructed from options.</param>
    /// <param name="defaults">What options have that a file does not name.</param>
    /// <param name="json">How the options are written, from a custom <c>JsonSerializerContext</c>.</param>
    public static NetworkType Of<TNetwork, TOptions>(
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
        : NetworkType
        where TNetwork : nn.Module
        where TOptions : class
    {
        public override string Name => name;

        public override JsonObject? Describe(nn.Module network)
        {
            if (network is not TNetwork typed)
                return null;
            var options = optionsOf(typed)
                ?? throw new NotSupportedException(
                    $"This {name} was constructed from custom networks, which a file cannot name; save its weights instead.");
            return JsonSerializer.SerializeToNode(options, json)!.AsObject();
        }

        public override nn.Module Create(JsonObject options)
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
