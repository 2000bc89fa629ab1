using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using static Diffusion.Core.ForeignJson;

namespace Diffusion.Core.Models;

/// <summary>The source-generated JSON serialization of the options of the networks of this library.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    IgnoreReadOnlyProperties = true,
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(SimpleCrossAttentionOptions))]
[JsonSerializable(typeof(AutoencoderDescription))]
[JsonSerializable(typeof(AutoencoderKLOptions))]
[JsonSerializable(typeof(ClipTextEncoderOptions))]
[JsonSerializable(typeof(DiTOptions))]
[JsonSerializable(typeof(KBlockOptions))]
[JsonSerializable(typeof(MlpBody))]
[JsonSerializable(typeof(MlpDenoiserOptions))]
[JsonSerializable(typeof(NcsnppBlockOptions))]
[JsonSerializable(typeof(SelfAttentionOptions))]
[JsonSerializable(typeof(SpatialTransformerOptions))]
[JsonSerializable(typeof(SwinDenoiserOptions))]
[JsonSerializable(typeof(FourierTimeEncoding))]
[JsonSerializable(typeof(SinusoidalTimeEncoding))]
[JsonSerializable(typeof(TimeEncoding.Table), TypeInfoPropertyName = "TimeTable")]
[JsonSerializable(typeof(UNetBlockOptions))]
[JsonSerializable(typeof(UNetLayout))]
[JsonSerializable(typeof(UNetResampling.ByConvolution), TypeInfoPropertyName = "ByConvolution")]
[JsonSerializable(typeof(UViTOptions))]
[JsonSerializable(typeof(VQModelOptions))]
[JsonSerializable(typeof(VaeOptions))]
[JsonSerializable(typeof(ViTDenoiserOptions))]
internal sealed partial class NetworkJson : JsonSerializerContext
{
    // Created on first use, because the generated part of this class has static fields.
    private static readonly Lazy<NetworkJson> _shared = new(WithStrategies);

    /// <summary>The context that writes strategies by name.</summary>
    public static NetworkJson Shared => _shared.Value;

    private static NetworkJson WithStrategies()
    {
        var options = new JsonSerializerOptions(Default.Options);
        foreach (var converter in NetworkStrategies.Converters)
            options.Converters.Add(converter);
        return new(options);
    }
}

/// <summary>The JSON converters of the strategies in the options of networks, with the names of the strategies in files.</summary>
internal static class NetworkStrategies
{
    public static IReadOnlyList<JsonConverter> Converters { get; } =
    [
        new StrategyConverter<Activation>(
            StrategyKind<Activation>.Of("relu", Activation.Relu),
            StrategyKind<Activation>.Of("silu", Activation.Silu),
            StrategyKind<Activation>.Of("gelu", Activation.Gelu),
            StrategyKind<Activation>.Of("gelu_tanh", Activation.GeluTanh),
            StrategyKind<Activation>.Of("gelu_sigmoid", Activation.GeluSigmoid),
            StrategyKind<Activation>.Of("geglu", Activation.GeGlu),
            StrategyKind<Activation>.Of("swiglu", Activation.SwiGlu)),
        new StrategyConverter<IAutoencoderBody>(
            StrategyKind<IAutoencoderBody>.Of("convolutional", new ConvolutionalBody(), () => NetworkJson.Shared.ConvolutionalBody),
            StrategyKind<IAutoencoderBody>.Of("mlp", new MlpBody { SampleShape = [] }, () => NetworkJson.Shared.MlpBody)),
        new StrategyConverter<TimeEncoding>(
            StrategyKind<TimeEncoding>.Of("sinusoidal", TimeEncoding.Sinusoidal(), () => NetworkJson.Shared.SinusoidalTimeEncoding),
            StrategyKind<TimeEncoding>.Of("fourier", TimeEncoding.Fourier(), () => NetworkJson.Shared.FourierTimeEncoding),
            StrategyKind<TimeEncoding>.Of("learned", (TimeEncoding.Table)TimeEncoding.Learned(1000), () => NetworkJson.Shared.TimeTable)),
        new StrategyConverter<UNetResampling>(
            StrategyKind<UNetResampling>.Of("residual", UNetResampling.Residual),
            StrategyKind<UNetResampling>.Of(
                "convolution", (UNetResampling.ByConvolution)UNetResampling.Convolution(), () => NetworkJson.Shared.ByConvolution)),
        new StrategyConverter<IUNetLayerOptions>(
            StrategyKind<IUNetLayerOptions>.Of("self_attention", new SelfAttentionOptions(), () => NetworkJson.Shared.SelfAttentionOptions),
            StrategyKind<IUNetLayerOptions>.Of(
                "spatial_transformer", new SpatialTransformerOptions { ContextWidth = 0 }, () => NetworkJson.Shared.SpatialTransformerOptions),
            StrategyKind<IUNetLayerOptions>.Of(
                "added_context", new SimpleCrossAttentionOptions { ContextWidth = 0 }, () => NetworkJson.Shared.SimpleCrossAttentionOptions)),
        new StrategyConverter<IUNetBlockOptions>(
            StrategyKind<IUNetBlockOptions>.Of("none", UNetMiddle.None),
            StrategyKind<IUNetBlockOptions>.Of("filter", new KBlockOptions(), () => NetworkJson.Shared.KBlockOptions),
            StrategyKind<IUNetBlockOptions>.Of("pyramid", new NcsnppBlockOptions(), () => NetworkJson.Shared.NcsnppBlockOptions),
            StrategyKind<IUNetBlockOptions>.Of("block", new UNetBlockOptions(), () => NetworkJson.Shared.UNetBlockOptions)),
        new StrategyConverter<UNetConditioning>(
            Embedding("vector", _ => UNetConditioning.Vector),
            Embedding("labels_as_times", _ => UNetConditioning.LabelsAsTimes),
            Embedding("classes", options => UNetConditioning.Classes(Whole(options, "classes"))),
            Embedding("linear_vector", options => UNetConditioning.LinearVector(Whole(options, "inputs"))),
            Embedding("projected_vector", options => UNetConditioning.ProjectedVector(Whole(options, "inputs"))),
            Embedding("pooled_sequence", options => UNetConditioning.PooledSequence(Whole(options, "inputs"), Whole(options, "heads"))),
            Embedding("text_and_numbers", options => UNetConditioning.TextAndNumbers(
                Whole(options, "text_width"),
                Whole(options, "numbers"),
                Whole(options, "number_width"),
                new SinusoidalTimeEncoding
                {
                    FlipSinToCos = Flag(options, "flip_sin_to_cos"),
                    FrequencyShift = Number(options, "frequency_shift"),
                }))),
    ];

    private static StrategyKind<UNetConditioning> Embedding(string name, Func<JsonObject, UNetConditioning> read) => new(
        name,
        value =>
        {
            if ((value as UNetConditioning.Delegated)?.Description is not { } description
                || ForeignJson.TextOf(description["type"]) != name)
                return null;
            var options = description.DeepClone().AsObject();
            options.Remove("type");
            return options;
        },
        read);
}

/// <summary>Reads options from JSON in which some may be missing.</summary>
internal static class OptionsJson
{
    /// <summary>
    /// Reads options from JSON. Options that are missing, for example because the file is older than the option, have their defaults.
    /// </summary>
    /// <exception cref="JsonException">An option is unknown or has the wrong type.</exception>
    public static TOptions Complete<TOptions>(JsonObject options, TOptions defaults, JsonTypeInfo<TOptions> json)
        where TOptions : class
    {
        var complete = JsonSerializer.SerializeToNode(defaults, json)!.AsObject();
        Overlay(complete, options);
        return complete.Deserialize(json)!;
    }

    private static void Overlay(JsonObject target, JsonObject source)
    {
        foreach (var (key, value) in source)
        {
            if (!target.TryGetPropertyValue(key, out var present))
                throw new JsonException(
                    Invariant($"There is no option '{key}'; there are: {string.Join(", ", target.Select(pair => pair.Key))}."));

            // Nested options are completed in the same way. Strategies, which have a type, are replaced as a whole.
            if (value is JsonObject inner && present is JsonObject outer && !inner.ContainsKey("type") && !outer.ContainsKey("type"))
                Overlay(outer, inner);
            else
                target[key] = value?.DeepClone();
        }
    }
}
