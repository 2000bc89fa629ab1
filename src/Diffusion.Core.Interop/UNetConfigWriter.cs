using System.Text.Json.Nodes;
using Diffusion.Core.Models;

namespace Diffusion.Core.Interop;

/// <summary>
/// The configuration of a U-Net as a UNet2DModel, or as a UNet2DConditionModel where a block attends to a sequence. What the network is
/// made of is read where model files have it, by name.
/// </summary>
internal sealed class UNetConfigWriter
{
    private readonly UNetOptions _options;
    private readonly JsonObject _json;
    private readonly UNetLevel[] _levels;
    private readonly JsonObject[] _down;
    private readonly JsonObject[] _up;
    private readonly JsonNode _middle;

    public UNetConfigWriter(UNetOptions options)
    {
        // Equal levels are written out, so that there is one way to look at them.
        _options = options with { Levels = options.ToLevels(), Middle = options.ToMiddle() };
        _json = _options.ToJson();
        _levels = [.. _options.Levels!];
        var levels = _json["levels"]!.AsArray();
        _down = [.. levels.Select(level => level!["down"]!.AsObject())];
        _up = [.. levels.Select(level => (level!["up"] ?? level["down"])!.AsObject())];
        _middle = _json["middle"]!;
        IsConditional = _options.SequenceWidth is not null
            || _down.Concat(_up).Append(_middle).OfType<JsonObject>().Any(block => TypeOf(block["attention"]) == "spatial_transformer");
    }

    /// <summary>True for a UNet2DConditionModel.</summary>
    public bool IsConditional { get; }

    private string ClassName => IsConditional ? UNetMapping.Conditional : UNetMapping.Plain;

    /// <summary>The configuration.</summary>
    /// <exception cref="NotSupportedException">diffusers has no such network; the message names the option.</exception>
    public ModelConfig Config()
    {
        if (_down.Concat(_up).FirstOrDefault(block => TypeOf(block) != "block") is { } other)
            throw NotThere("a block of type", TypeOf(other));
        if (_options.Dimensions != 2)
            throw NotThere(nameof(_options.Dimensions), _options.Dimensions);
        var time = _json["time_encoding"]!;
        var isSinusoidal = TypeOf(time) == "sinusoidal";
        var settings = new JsonObject
        {
            ["act_fn"] = ConfigJson.NameOf(_options.Activation),
            ["attention_head_dim"] = AttentionHeads(),
            ["block_out_channels"] = ConfigJson.List(_levels.Select(level => level.Width)),
            ["center_input_sample"] = _options.CenterInput,
            ["class_embed_type"] = null,
            ["down_block_types"] = ConfigJson.List(_down.Select(block => BlockType(block, "Down", "Downsample"))),
            ["downsample_padding"] = Single("Resampling", _down.Concat(_up).Select(Padding).OfType<int>(), 1),
            ["dropout"] = _options.Dropout,
            ["flip_sin_to_cos"] = !isSinusoidal || time["flip_sin_to_cos"]!.GetValue<bool>(),
            ["freq_shift"] = isSinusoidal ? Shortest(time["frequency_shift"]!.GetValue<double>()) : 0,
            ["in_channels"] = _options.Channels,
            ["layers_per_block"] = PerLevel(_levels.Select(level => level.Layers)),
            ["mid_block_scale_factor"] = Shortest(_middle is JsonObject middle ? middle["output_scale"]!.GetValue<double>() : 1.0),
            ["norm_eps"] = _options.NormEpsilon,
            ["norm_num_groups"] = _options.Groups(),
            ["num_class_embeds"] = Classes(),
            ["out_channels"] = _options.OutChannels ?? _options.Channels,
            ["resnet_time_scale_shift"] = _options.ScaleShift ? "scale_shift" : "default",
            ["sample_size"] = _options.ImageSize,
            ["time_embedding_dim"] = _options.EmbeddingWidth is { } width && width != 4 * _levels[0].Width ? width : null,
            ["time_embedding_type"] = isSinusoidal ? "positional" : throw NotThere(nameof(_options.TimeEncoding), TypeOf(time)),
            ["up_block_types"] = ConfigJson.List(_up.Select(block => BlockType(block, "Up", "Upsample")).Reverse()),
        };
        RefuseTheRest();
        return ConfigJson.Of(ClassName, IsConditional ? WithConditional(settings) : WithPlain(settings));
    }

    private static string TypeOf(JsonNode? node) => node switch
    {
        JsonObject settings => settings["type"]!.GetValue<string>(),
        JsonValue name => name.GetValue<string>(),
        _ => "none",
    };

    /// <summary>Whole numbers as Python has them where the setting is usually one.</summary>
    private static JsonNode Shortest(double value) => value == (int)value ? (int)value : value;

    private static int? Padding(JsonObject block) => TypeOf(block["resampling"]) == "convolution" ? block["resampling"]!["padding"]!.GetValue<int>() : null;

    private NotSupportedException NotThere(string option, object? value) => ConfigJson.NotThere(ClassName, option, value);

    private JsonObject WithPlain(JsonObject settings)
    {
        var attention = (_middle as JsonObject)?["attention"];
        var isNormed = attention?["norm"]!.GetValue<bool>() ?? true;
        var groups = attention?["groups"]?.GetValue<int>() ?? (_options.ScaleShift && attention is not null && isNormed ? _options.Groups() : null);
        if (!isNormed && !_options.ScaleShift)
            throw NotThere("SelfAttentionOptions.Norm in the middle", false);
        settings["add_attention"] = attention is not null;
        settings["attn_norm_num_groups"] = groups;
        settings["downsample_type"] = ResamplingOf(_down);
        settings["mid_block_type"] = _middle is JsonObject or JsonValue && TypeOf(_middle) == "none" ? null : "UNetMidBlock2D";
        settings["num_train_timesteps"] = null;
        settings["upsample_type"] = ResamplingOf(_up);
        if (_options.OuterActivation is { } outer && outer != Activation.Silu)
            throw NotThere(nameof(_options.OuterActivation), ConfigJson.NameOf(outer));
        return settings;
    }

    private JsonObject WithConditional(JsonObject settings)
    {
        var transformers = _down.Select(block => block["attention"]).Select((attention, level) => (attention, level)).ToArray();
        JsonNode PerTransformer(string name, int missing) => PerLevel(transformers.Select(pair => pair.attention?[name]?.GetValue<int>() ?? missing));
        var any = transformers.Select(pair => pair.attention).OfType<JsonObject>().FirstOrDefault() ?? (_middle as JsonObject)?["attention"] as JsonObject;
        var context = any?["context_width"]!.GetValue<int>() ?? 1280;
        foreach (var (name, value) in new (string, JsonNode?)[]
        {
            ("addition_embed_type", null), ("addition_embed_type_num_heads", 64), ("addition_time_embed_dim", null), ("attention_type", "default"),
            ("class_embeddings_concat", _options.JoinClassEmbedding), ("conv_in_kernel", _options.InputKernel), ("conv_out_kernel", _options.OutputKernel),
            ("cross_attention_dim", PerTransformer("context_width", context)), ("cross_attention_norm", null), ("dual_cross_attention", false),
            ("encoder_hid_dim", _options.SequenceWidth), ("encoder_hid_dim_type", _options.SequenceWidth is null ? null : "text_proj"),
            ("mid_block_only_cross_attention", null), ("mid_block_type", MiddleType()), ("num_attention_heads", null),
            ("only_cross_attention", any?["only_cross_attention"]!.GetValue<bool>() ?? false), ("projection_class_embeddings_input_dim", null),
            ("resnet_out_scale_factor", 1.0), ("resnet_skip_time_act", false), ("reverse_transformer_layers_per_block", null),
            ("time_cond_proj_dim", _options.TimeVectorWidth), ("time_embedding_act_fn", NameOrNull(_options.EmbeddingActivation)),
            ("timestep_post_act", NameOrNull(_options.TimeActivation)), ("transformer_layers_per_block", PerTransformer("layers", 1)),
            ("upcast_attention", false), ("use_linear_projection", any?["linear_projection"]!.GetValue<bool>() ?? false),
        })
            settings[name] = value;
        return settings;
    }

    private static string? NameOrNull(IActivation? activation) => activation is null ? null : ConfigJson.NameOf(activation);

    private string? MiddleType() => TypeOf(_middle) == "none" ? null
        : TypeOf(_middle["attention"]) == "spatial_transformer" ? "UNetMidBlock2DCrossAttn"
        : "UNetMidBlock2D";

    private string BlockType(JsonObject block, string direction, string resampling) => (TypeOf(block["attention"]), TypeOf(block["resampling"])) switch
    {
        ("none", "convolution") => $"{direction}Block2D",
        ("none", "residual") => $"Resnet{resampling}Block2D",
        ("self_attention", _) when !IsConditional => $"Attn{direction}Block2D",
        ("spatial_transformer", "convolution") => $"CrossAttn{direction}Block2D",
        var (attention, way) => throw NotThere("a block with", $"{attention} and {way}"),
    };

    private string ResamplingOf(JsonObject[] blocks)
        => Single(
            "Resampling",
            blocks.Where(block => TypeOf(block["attention"]) != "none").Select(block => TypeOf(block["resampling"]) == "residual" ? "resnet" : "conv"),
            "conv");

    private JsonNode? AttentionHeads()
    {
        var name = IsConditional ? "heads" : "head_width";
        var widths = _down.Concat(_up).Append(_middle).OfType<JsonObject>().Select(block => block["attention"]).OfType<JsonObject>()
            .Select(attention => attention[name]?.GetValue<int>()).Distinct().ToArray();
        if (widths.Length <= 1)
            return widths.Length == 0 ? 8 : widths[0];
        return IsConditional
            ? PerLevel(_down.Select(block => block["attention"]?["heads"]?.GetValue<int>() ?? _middle["attention"]?["heads"]?.GetValue<int>() ?? 8))
            : throw NotThere(nameof(_options.HeadWidth), string.Join(", ", widths));
    }

    private int? Classes() => _json["class_embedding"] is JsonObject embedding
        ? TypeOf(embedding) == "classes" ? embedding["classes"]!.GetValue<int>() : throw NotThere(nameof(_options.ClassEmbedding), TypeOf(embedding))
        : _json["class_embedding"] is { } named ? throw NotThere(nameof(_options.ClassEmbedding), TypeOf(named))
        : _options.Classes;

    private void RefuseTheRest()
    {
        if (_options.AddedEmbedding is not null)
            throw NotThere(nameof(_options.AddedEmbedding), TypeOf(_json["added_embedding"]));
        if (_options.DivideByTime)
            throw NotThere(nameof(_options.DivideByTime), true);
        if (!IsConditional && (_options.InputKernel != 3 || _options.OutputKernel != 3))
            throw NotThere(nameof(_options.InputKernel), _options.InputKernel);
        foreach (var block in _down.Concat(_up))
        {
            if (block["output_scale"]!.GetValue<double>() != 1.0 || !block["activate_embedding"]!.GetValue<bool>())
                throw NotThere("UNetBlockOptions.OutputScale or ActivateEmbedding", block.ToJsonString());
        }
    }

    private T Single<T>(string option, IEnumerable<T> values, T missing)
    {
        var distinct = values.Distinct().ToArray();
        return distinct.Length <= 1 ? distinct.FirstOrDefault(missing) : throw NotThere(option, string.Join(" and ", distinct));
    }

    private static JsonNode PerLevel(IEnumerable<int> values)
    {
        int[] all = [.. values];
        return all.Distinct().Count() == 1 ? all[0] : ConfigJson.List(all);
    }
}
