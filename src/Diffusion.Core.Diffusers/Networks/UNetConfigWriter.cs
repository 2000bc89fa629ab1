using System.Globalization;
using System.Text.Json.Nodes;
using Diffusion.Core.Models;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// Converts the options of a U-Net to the configuration of a UNet2DModel, or of a UNet2DConditionModel if only this class supports
/// them. The options are read by name from the JSON form that model files contain. The configuration is read back, and an exception is
/// thrown if it describes another network.
/// </summary>
internal sealed class UNetConfigWriter
{
    private readonly UNetLayout _layout;
    private readonly JsonObject _json;
    private readonly JsonObject[] _levels;
    private readonly JsonObject[] _down;
    private readonly JsonObject[] _up;
    private readonly JsonObject[] _blocks;
    private readonly JsonObject? _middle;
    private readonly JsonObject[] _attentions;

    public UNetConfigWriter(UNetLayout layout)
    {
        _layout = layout;
        _json = UNetForm.Of(layout);
        _levels = [.. _json["levels"]!.AsArray().Select(level => level!.AsObject())];
        _down = [.. _levels.Select(level => level["down"]!.AsObject())];
        _up = [.. _levels.Select(level => level["up"]!.AsObject())];
        _blocks = [.. _down, .. _up];
        _middle = TypeOf(_json["middle"]) == "none" ? null : _json["middle"]!.AsObject();
        _attentions = [.. _blocks.Append(_middle).Select(block => block?["attention"]).OfType<JsonObject>()];
        IsConditional = _attentions.Any(attention => TypeOf(attention) is "spatial_transformer" or "added_context")
            || _middle?["middle_layers"]?.GetValue<int>() == 0
            || TypeOf(_json["class_embedding"]) is "projected_vector" or "linear_vector"
            || layout is { JoinClassEmbedding: true } or { InputKernel: not 3 } or { OutputKernel: not 3 }
            || new object?[] { layout.SequenceWidth, layout.AddedEmbedding, layout.TimestepConditionWidth, layout.TimeActivation, layout.EmbeddingActivation }
                .Any(given => given is not null);
    }

    /// <summary>Whether the configuration is that of a UNet2DConditionModel.</summary>
    public bool IsConditional { get; }

    private string ClassName => IsConditional ? UNetMapping.Conditional : UNetMapping.Plain;

    private JsonNode? MiddleAttention => _middle?["attention"];

    /// <summary>Returns the configuration.</summary>
    /// <exception cref="NotSupportedException">
    /// diffusers does not support an option of the network; the message contains the option.
    /// </exception>
    public ModelConfig Config()
    {
        if (_layout.Dimensions != 2)
            throw NotThere(nameof(_layout.Dimensions), _layout.Dimensions);
        var settings = Shared();
        foreach (var (name, value) in IsConditional ? OfConditional() : OfPlain())
            settings[name] = value;
        var config = ConfigJson.Of(ClassName, settings);
        var again = UNetForm.Of(new UNetConfigReader(config, IsConditional).Layout());
        return UNetForm.Difference(_json, again) is var (option, actual) ? throw NotThere(option, actual) : config;
    }

    private static string TypeOf(JsonNode? node) => UNetForm.TypeOf(node);

    /// <summary>Returns a number as an integer if it is whole, as diffusers writes settings whose default is an integer.</summary>
    private static JsonNode Shortest(double value) => value == (int)value ? (int)value : value;

    private static string? NameOrNull(Activation? activation) => activation is null ? null : ConfigJson.NameOf(activation);

    private static JsonNode PerLevel<T>(IEnumerable<T> values, Func<T, JsonNode> write)
    {
        T[] all = [.. values];
        return all.Distinct().Count() == 1 ? write(all[0]) : new JsonArray([.. all.Select(write)]);
    }

    private static JsonNode PerLevel(IEnumerable<int> values) => PerLevel(values, value => (JsonNode)value);

    private NotSupportedException NotThere(string option, object? value) => ConfigJson.NotThere(ClassName, option, value);

    private JsonObject Shared()
    {
        var (time, labels) = (_json["time_encoding"]!, _json["class_embedding"]);
        var (encoding, label) = (TypeOf(time), TypeOf(labels));

        // The sinusoidal encoding of timesteps, or otherwise that of the numbers in the added embedding.
        var sines = encoding == "sinusoidal" || (encoding == "fourier" && IsConditional) ? time : _json["added_embedding"] as JsonObject;
        var width = (IsConditional && encoding == "fourier" ? 2 : 4) * _levels[0]["width"]!.GetValue<int>();
        return new JsonObject
        {
            ["act_fn"] = ConfigJson.NameOf(_layout.Activation),
            ["attention_head_dim"] = AttentionHeads(),
            ["block_out_channels"] = ConfigJson.List(_levels.Select(level => level["width"]!.GetValue<int>())),
            ["center_input_sample"] = _layout.CenterInput,
            ["class_embed_type"] = label switch
            {
                "none" or "classes" => null,
                "labels_as_times" => "timestep",
                "vector" => "identity",
                "projected_vector" => "projection",
                "linear_vector" => "simple_projection",
                _ => throw NotThere(nameof(_layout.ClassEmbedding), label),
            },
            ["down_block_types"] = ConfigJson.List(_down.Select(block => BlockType(block, "Down", "Downsample"))),
            ["downsample_padding"] = Single("UNetResampling.Convolution", _down.Select(Padding).OfType<int>(), 1),
            ["dropout"] = _layout.Dropout,
            ["flip_sin_to_cos"] = sines?["flip_sin_to_cos"]?.GetValue<bool>() ?? true,
            ["freq_shift"] = Shortest(sines?["frequency_shift"]?.GetValue<double>() ?? 0),
            ["in_channels"] = _layout.Channels,
            ["layers_per_block"] = PerLevel(_levels.Select(level => level["layers"]!.GetValue<int>())),
            ["mid_block_scale_factor"] = Shortest(_middle?["output_scale"]?.GetValue<double>() ?? 1.0),
            ["norm_eps"] = _layout.NormEpsilon,
            ["norm_num_groups"] = _layout.Groups(),
            ["num_class_embeds"] = label == "classes" ? labels!["classes"]!.GetValue<int>() : null,
            ["out_channels"] = _layout.OutChannels ?? _layout.Channels,
            ["resnet_time_scale_shift"] = _layout.ScaleShift ? "scale_shift" : "default",
            ["sample_size"] = _layout.ImageSize,
            ["time_embedding_dim"] = _layout.EmbeddingWidth is { } given && given != width ? given : null,
            ["time_embedding_type"] = encoding == "sinusoidal" ? "positional" : encoding,
            ["up_block_types"] = ConfigJson.List(_up.Select(block => BlockType(block, "Up", "Upsample")).Reverse()),
        };
    }

    private IEnumerable<(string Name, JsonNode? Value)> OfPlain()
    {
        var isNormed = MiddleAttention?["norm"]?.GetValue<bool>() ?? false;
        var groups = isNormed ? MiddleAttention!["groups"]!.GetValue<int>() : (int?)null;
        Single("UNetLevel.Layers", _levels.Select(level => level["layers"]!.GetValue<int>()), 2);
        return
        [
            ("add_attention", MiddleAttention is not null || _middle is null),
            ("attn_norm_num_groups", groups == _layout.Groups() && !_layout.ScaleShift ? null : groups),
            ("downsample_type", ResamplingOf(_down)), ("mid_block_type", _middle is null ? null : "UNetMidBlock2D"),
            ("num_train_timesteps", (_json["time_encoding"] as JsonObject)?["steps"]?.GetValue<int>()), ("upsample_type", ResamplingOf(_up)),
        ];
    }

    private IEnumerable<(string Name, JsonNode? Value)> OfConditional()
    {
        var crossing = _attentions.Where(attention => TypeOf(attention) is "spatial_transformer" or "added_context").ToArray();
        var transformers = crossing.Where(attention => TypeOf(attention) == "spatial_transformer").ToArray();
        var outer = _blocks.Where(block => TypeOf(block["resampling"]) == "residual").ToArray();
        var (added, labels) = (_json["added_embedding"] as JsonObject, _json["class_embedding"] as JsonObject);
        var (context, only) = (
            _layout.ProjectedSequenceWidth ?? crossing.FirstOrDefault()?["context_width"]!.GetValue<int>() ?? 1280,
            crossing.FirstOrDefault()?["only_cross_attention"]!.GetValue<bool>() ?? false);
        var layers = Each(level => [_down[level], level == _levels.Length - 1 ? _middle : null], "layers", _ => 1);
        var layersUp = Each(level => [_up[level]], "layers", level => layers[level]);
        var onlyAtLevels = PerLevel(Each(Both, "only_cross_attention", _ => only), value => (JsonNode)value);
        var onlyInMiddle = MiddleAttention?["only_cross_attention"]?.GetValue<bool>() ?? false;
        var addedInMiddle = TypeOf(MiddleAttention) == "added_context";
        return
        [
            ("addition_embed_type", TypeOf(_json["added_embedding"]) switch
            {
                "none" => null,
                "pooled_sequence" => "text",
                "text_and_numbers" => "text_time",
                var other => throw NotThere(nameof(_layout.AddedEmbedding), other),
            }),
            ("addition_embed_type_num_heads", added?["heads"]?.GetValue<int>() ?? 64),
            ("addition_time_embed_dim", added?["number_width"]?.GetValue<int>()),
            ("attention_type", "default"),
            ("class_embeddings_concat", _layout.JoinClassEmbedding),
            ("conv_in_kernel", _layout.InputKernel),
            ("conv_out_kernel", _layout.OutputKernel),
            ("cross_attention_dim", PerLevel(Each(Both, "context_width", _ => context))),
            ("cross_attention_norm", crossing.Any(attention => attention["context_groups"] is not null) ? "group_norm" : null),
            ("dual_cross_attention", false),
            ("encoder_hid_dim", _layout.SequenceWidth),
            ("encoder_hid_dim_type", _layout.SequenceWidth is null ? null : "text_proj"),
            ("mid_block_only_cross_attention", addedInMiddle && onlyInMiddle != (onlyAtLevels is JsonValue && only) ? onlyInMiddle : null),
            ("mid_block_type", MiddleType()),
            ("num_attention_heads", null),
            ("only_cross_attention", onlyAtLevels),
            ("projection_class_embeddings_input_dim", added?["text_width"] is { } text
                ? text.GetValue<int>() + (added["numbers"]!.GetValue<int>() * added["number_width"]!.GetValue<int>())
                : labels?["inputs"]?.GetValue<int>()),
            ("resnet_out_scale_factor", Single("UNetBlockOptions.OutputScale", outer.Select(block => block["output_scale"]!.GetValue<double>()), 1.0)),
            ("resnet_skip_time_act", !Single(
                "UNetBlockOptions.ActivateEmbedding",
                outer.Append(addedInMiddle ? _middle : null).OfType<JsonObject>().Select(block => block["activate_embedding"]!.GetValue<bool>()),
                true)),
            ("reverse_transformer_layers_per_block", layersUp.SequenceEqual(layers) ? null : ConfigJson.List(layersUp.Reverse())),
            ("time_cond_proj_dim", _layout.TimestepConditionWidth),
            ("time_embedding_act_fn", NameOrNull(_layout.EmbeddingActivation)),
            ("timestep_post_act", NameOrNull(_layout.TimeActivation)),
            ("transformer_layers_per_block", PerLevel(layers)),
            ("upcast_attention", false),
            ("use_linear_projection", transformers.FirstOrDefault()?["linear_projection"]!.GetValue<bool>() ?? false),
        ];
    }

    private static int? Padding(JsonObject block) => TypeOf(block["resampling"]) == "convolution" ? block["resampling"]!["padding"]!.GetValue<int>() : null;

    private JsonObject?[] Both(int level) => [_down[level], _up[level]];

    /// <summary>Returns an attention setting for each level: that of the first block of the level that has the setting.</summary>
    private T[] Each<T>(Func<int, JsonObject?[]> blocks, string name, Func<int, T> missing)
        => [.. Enumerable.Range(0, _levels.Length).Select(level
            => blocks(level).Select(block => block?["attention"]?[name]).FirstOrDefault(value => value is not null) is { } found
                ? found.GetValue<T>()
                : missing(level))];

    private string? MiddleType() => (_middle, TypeOf(MiddleAttention)) switch
    {
        (null, _) => null,
        (_, "spatial_transformer") => "UNetMidBlock2DCrossAttn",
        (_, "added_context") => "UNetMidBlock2DSimpleCrossAttn",
        _ => "UNetMidBlock2D",
    };

    private string BlockType(JsonObject block, string direction, string resampling)
        => (TypeOf(block), TypeOf(block["attention"]), TypeOf(block["resampling"])) switch
        {
            ("block", "none", "convolution") => $"{direction}Block2D",
            ("block", "none", "residual") => $"Resnet{resampling}Block2D",
            ("block", "self_attention", _) => $"Attn{direction}Block2D",
            ("block", "spatial_transformer", _) => $"CrossAttn{direction}Block2D",
            ("block", "added_context", _) => $"SimpleCrossAttn{direction}Block2D",
            ("pyramid", "none", _) => $"Skip{direction}Block2D",
            ("pyramid", "self_attention", _) => $"AttnSkip{direction}Block2D",
            ("filter", _, _) => $"K{direction}Block2D",
            var (type, attention, _) => throw NotThere($"a block of type {type} with attention", attention),
        };

    private string ResamplingOf(JsonObject[] blocks)
        => Single(
            "Resampling",
            blocks.Where(block => TypeOf(block) == "block" && TypeOf(block["attention"]) == "self_attention")
                .Select(block => TypeOf(block["resampling"]) == "residual" ? "resnet" : "conv"),
            "conv");

    /// <summary>
    /// Returns <c>attention_head_dim</c>: the number of heads of transformers, and the number of channels per head of other attention.
    /// diffusers keeps this naming error for compatibility.
    /// </summary>
    private JsonNode? AttentionHeads()
    {
        static JsonNode? Of(JsonObject attention) => attention[TypeOf(attention) == "spatial_transformer" ? "heads" : "head_width"];
        var given = _attentions.Select(attention => Of(attention)?.GetValue<int>()).Distinct().ToArray();
        if (given.Length <= 1)
            return given.Length == 0 ? 8 : given[0];
        if (!IsConditional || given.Contains(null))
            throw NotThere(nameof(SelfAttentionOptions.HeadWidth), string.Join(", ", given.Select(width => width?.ToString(CultureInfo.InvariantCulture) ?? "null")));
        return PerLevel(Enumerable.Range(0, _levels.Length).Select(level
            => new[] { _down[level], _up[level], _middle }.Select(block => block?["attention"]).OfType<JsonObject>().Select(Of).FirstOrDefault()?.GetValue<int>() ?? 8));
    }

    private T Single<T>(string option, IEnumerable<T> values, T missing)
    {
        var distinct = values.Distinct().ToArray();
        return distinct.Length <= 1 ? distinct.FirstOrDefault(missing) : throw NotThere(option, string.Join(" and ", distinct));
    }
}

/// <summary>
/// The layout of a U-Net in a canonical form: values that follow from others are written, values that do not affect the output are omitted.
/// </summary>
internal static class UNetForm
{
    /// <summary>Returns the canonical form of a layout, as JSON of a model file.</summary>
    public static JsonObject Of(UNetLayout layout)
    {
        var json = (layout with
        {
            Levels = [.. layout.Levels.Select(level => level with { Up = level.Up ?? level.Down })],
            OutChannels = layout.OutChannels ?? layout.Channels,
            GroupNormGroups = layout.Groups(),
            EmbeddingWidth = layout.EmbeddingWidth ?? 4 * layout.Levels[0].Width,
            OuterActivation = layout.OuterActivation ?? layout.Activation,
        }).ToJson();
        json.Remove("zero_output");
        json.Remove("use_gradient_checkpointing");
        foreach (var level in json["levels"]!.AsArray())
        {
            WriteOut(level!["down"]!, layout);
            WriteOut(level["up"]!, layout);

            // Padding applies only to downsampling.
            if (level["up"]!["resampling"] is JsonObject resampling)
                resampling.Remove("padding");
            level["up"]!.AsObject().Remove("middle_layers");
            level["down"]!.AsObject().Remove("middle_layers");
        }

        if (json["middle"] is JsonObject middle)
        {
            WriteOut(middle, layout);
            middle.Remove("resampling");
        }

        return json;
    }

    /// <summary>Returns the type name of an option, or "none" if the option is not set.</summary>
    public static string TypeOf(JsonNode? node) => node switch
    {
        JsonObject settings => settings["type"]!.GetValue<string>(),
        JsonValue name => name.GetValue<string>(),
        _ => "none",
    };

    /// <summary>
    /// Returns the first option in which two forms differ, and its value in the first form, or null if the forms are equal.
    /// </summary>
    public static (string Option, string Value)? Difference(JsonNode? one, JsonNode? other, string path = "")
    {
        if (JsonNode.DeepEquals(one, other))
            return null;
        IEnumerable<(string, JsonNode?, JsonNode?)> parts = (one, other) switch
        {
            (JsonObject left, JsonObject right) when TypeOrNull(left) == TypeOrNull(right)
                => left.Select(pair => pair.Key).Union(right.Select(pair => pair.Key))
                    .Select(name => ($"{path}.{name}", left[name], right[name])),
            (JsonArray left, JsonArray right) when left.Count == right.Count => left.Select((item, i) => ($"{path}[{i}]", item, right[i])),
            _ => [],
        };
        return parts.Select(part => Difference(part.Item2, part.Item3, part.Item1)).FirstOrDefault(found => found is not null)
            ?? (path.TrimStart('.'), one?.ToJsonString() ?? "null");
    }

    private static string? TypeOrNull(JsonObject settings) => (string?)settings["type"];

    /// <summary>The groups of a norm that has those of the network.</summary>
    private static void WriteOut(JsonNode block, UNetLayout layout)
    {
        if (block["attention"] is not JsonObject attention || TypeOf(attention) != "self_attention")
            return;
        if (!attention["norm"]!.GetValue<bool>())
            attention.Remove("groups");
        else
            attention["groups"] ??= layout.Groups();
    }
}
