using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The classes of networks that model files can contain, by name. Instances are immutable; <see cref="With"/> returns a copy with an
/// additional class.
/// </summary>
public sealed class NetworkRegistry
{
    private readonly Dictionary<string, NetworkType> _types;

    private NetworkRegistry(IEnumerable<NetworkType> types) => _types = types.ToDictionary(type => type.Name, StringComparer.Ordinal);

    /// <summary>The registry with the networks of this library.</summary>
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

    /// <summary>The names of the classes, in ordinal order.</summary>
    public IEnumerable<string> Names => _types.Keys.Order(StringComparer.Ordinal);

    /// <summary>Returns a copy with an additional class of networks, which replaces a class of the same name.</summary>
    public NetworkRegistry With(NetworkType type)
    {
        ArgumentNullException.ThrowIfNull(type);
        return new NetworkRegistry(_types.Values.Where(other => other.Name != type.Name).Append(type));
    }

    /// <summary>Returns the class with the given name.</summary>
    /// <exception cref="NotSupportedException">There is no class of that name.</exception>
    public NetworkType Find(string name) => _types.TryGetValue(name, out var type)
        ? type
        : throw new NotSupportedException(
            $"There is no class of networks '{name}'; there are: {string.Join(", ", Names)}. "
            + $"Add a custom class with {nameof(NetworkRegistry)}.{nameof(Default)}.{nameof(With)}({nameof(NetworkType)}.{nameof(NetworkType.Of)}(...)), "
            + "and pass the result as the registry.");

    /// <summary>Returns the class and the options of a network as JSON, as in a model file.</summary>
    /// <returns>
    /// An object with the properties <c>type</c> and <c>options</c>, or <see langword="null"/> if the class of the network is not known or
    /// its options cannot be saved.
    /// </returns>
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

    /// <summary>Returns the class and the options of a network.</summary>
    /// <exception cref="NotSupportedException">The class of the network is not known, or its options cannot be saved.</exception>
    internal (NetworkType Type, JsonObject Options) Describe(nn.Module network)
    {
        foreach (var type in _types.Values)
        {
            if (type.Describe(network) is { } options)
                return (type, options);
        }

        throw new NotSupportedException(
            $"The class of networks '{network.GetType().Name}' is not known; there are: "
            + $"{string.Join(", ", Names)}. Add a custom class with {nameof(With)}.");
    }
}

/// <summary>
/// A class of networks in model files. It has a name, and converts networks to options and options to networks. For networks that are
/// constructed from a record of options, use <see cref="NetworkType.Of"/>; for other networks, implement this class.
/// </summary>
public abstract class NetworkType
{
    /// <summary>The name of the class in files, such as <c>UNet</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Returns the options of a network, or <see langword="null"/> if the network has another class.</summary>
    /// <exception cref="NotSupportedException">An option cannot be saved, such as a custom strategy.</exception>
    public abstract JsonObject? Describe(nn.Module network);

    /// <summary>Creates a network with newly initialized weights from its options, on the CPU and in float32.</summary>
    /// <returns>The network. The caller must dispose it.</returns>
    /// <exception cref="InvalidDataException">
    /// An option is unknown, missing, or of the wrong type, or the network has more than 20,000,000,000 values or 100,000 tensors.
    /// </exception>
    /// <exception cref="ArgumentException">The options are not consistent.</exception>
    public abstract nn.Module Create(JsonObject options);

    /// <summary>Creates a class of networks that are constructed from a record of options.</summary>
    /// <param name="name">The name of the class in files.</param>
    /// <param name="create">Creates a network from its options.</param>
    /// <param name="optionsOf">
    /// Returns the options of a network, or <see langword="null"/> if the network was not constructed from options.
    /// </param>
    /// <param name="defaults">The values of options that are missing in a file.</param>
    /// <param name="json">The JSON serialization of the options, from a <c>JsonSerializerContext</c>.</param>
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
                    $"This {name} was constructed from custom networks, which a file cannot describe; save only its weights.");
            return JsonSerializer.SerializeToNode(options, json)!.AsObject();
        }

        public override nn.Module Create(JsonObject options)
        {
            ArgumentNullException.ThrowIfNull(options);
            using var budget = ParameterBudget.OfLimits(options);
            try
            {
                return create(OptionsJson.Complete(options, defaults, json));
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or OverflowException)
            {
                throw new InvalidDataException($"The options of {name} cannot be read: {e.Message}", e);
            }
        }
    }
}
