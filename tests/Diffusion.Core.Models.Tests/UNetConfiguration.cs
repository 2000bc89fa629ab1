using System.Text.Json;

namespace Diffusion.Core.Models.Tests;

/// <summary>
/// diffusers' configurations of UNet2DModel and UNet2DConditionModel as options. A key that is not there has its default.
/// </summary>
internal sealed class UNetConfiguration
{
    private readonly JsonElement _config;
    private readonly bool _conditional;
    private readonly int[] _widths;

    private UNetConfiguration(JsonElement config)
    {
        _config = config;
        _conditional = Text("_class_name") == "UNet2DConditionModel";
        _widths = Integers("block_out_channels") ?? (_conditional ? [320, 640, 1280, 1280] : [224, 448, 672, 896]);
    }

    /// <summary>The options of a configuration.</summary>
    public static UNetOptions OptionsOf(JsonElement config) => new UNetConfiguration(config).Options();

    private UNetOptions Options()
    {
        var fourier = Text("time_embedding_type") == "fourier";
        var activation = ActivationOf(Text("act_fn") ?? "silu");
        var flip = Flag("flip_sin_to_cos") ?? true;
        var shift = Number("freq_shift") ?? 0;
        var embeddingWidth = Integer("time_embedding_dim") ?? (_conditional && fourier ? 2 * _widths[0] : 4 * _widths[0]);
        var encoder = Integer("encoder_hid_dim");
        return new()
        {
            ImageSize = Integer("sample_size") ?? 1 << (_widths.Length + 2),
            Channels = Integer("in_channels") ?? (_conditional ? 4 : 3),
            OutChannels = Integer("out_channels") ?? (_conditional ? 4 : 3),
            Levels = [.. Enumerable.Range(0, _widths.Length).Select(Level)],
            Middle = Middle(),
            Dropout = Number("dropout") ?? 0,
            GroupNormGroups = Integer("norm_num_groups") ?? 32,
            NormEpsilon = Number("norm_eps") ?? 1e-5,
            ScaleShift = ScaleShift,
            Activation = activation,
            OuterActivation = _conditional ? activation : Activation.Silu,
            EmbeddingWidth = embeddingWidth,
            TimeEncoding = Text("time_embedding_type") switch
            {
                "fourier" when _conditional => TimeEncoding.Fourier(1, false, flip, embeddingWidth),
                "fourier" => TimeEncoding.Fourier(),
                "learned" => TimeEncoding.Learned(Integer("num_train_timesteps")!.Value),
                _ => TimeEncoding.Sinusoidal(flip, shift),
            },
            DivideByTime = fourier && !_conditional,
            TimeVectorWidth = Integer("time_cond_proj_dim"),
            TimeActivation = Text("timestep_post_act") is { } post ? ActivationOf(post) : null,
            EmbeddingActivation = Text("time_embedding_act_fn") is { } after ? ActivationOf(after) : null,
            ClassEmbedding = ClassEmbedding(),
            JoinClassEmbedding = Flag("class_embeddings_concat") ?? false,
            AddedEmbedding = AddedEmbedding(flip, shift),
            SequenceWidth = encoder,
            ProjectedSequenceWidth = encoder is null ? null : Of("cross_attention_dim", 0, 1280),
            CenterInput = Flag("center_input_sample") ?? false,
            InputKernel = Integer("conv_in_kernel") ?? 3,
            OutputKernel = Integer("conv_out_kernel") ?? 3,
        };
    }

    private bool ScaleShift => Text("resnet_time_scale_shift") == "scale_shift";

    private UNetLevel Level(int level)
    {
        var down = Texts("down_block_types") ?? throw new InvalidDataException("down_block_types is missing.");
        var up = Texts("up_block_types") ?? throw new InvalidDataException("up_block_types is missing.");
        var reverse = Integers("reverse_transformer_layers_per_block");
        return new()
        {
            Width = _widths[level],
            Layers = Of("layers_per_block", level, 2),
            Down = Block(down[level], level, Text("downsample_type"), Of("transformer_layers_per_block", level, 1)),
            Up = Block(
                up[^(level + 1)], level, Text("upsample_type"), reverse?[^(level + 1)] ?? Of("transformer_layers_per_block", level, 1)),
        };
    }

    private IUNetBlockOptions Block(string type, int level, string? resampling, int transformers)
    {
        var convolution = UNetResampling.Convolution(Integer("downsample_padding") ?? 1);
        var outer = new UNetBlockOptions
        {
            Resampling = UNetResampling.Residual,
            OutputScale = Number("resnet_out_scale_factor") ?? 1,
            ActivateEmbedding = !(Flag("resnet_skip_time_act") ?? false),
        };
        return type switch
        {
            "DownBlock2D" or "UpBlock2D" => new UNetBlockOptions { Resampling = convolution },
            "AttnDownBlock2D" or "AttnUpBlock2D" => new UNetBlockOptions
            {
                Attention = SelfAttention(level),
                Resampling = resampling == "resnet" ? UNetResampling.Residual : convolution,
            },
            "ResnetDownsampleBlock2D" or "ResnetUpsampleBlock2D" => outer,
            "CrossAttnDownBlock2D" or "CrossAttnUpBlock2D" => new UNetBlockOptions
            {
                Attention = Transformer(level, transformers, OnlyCross(level)),
                Resampling = convolution,
            },
            "SimpleCrossAttnDownBlock2D" or "SimpleCrossAttnUpBlock2D" => outer with { Attention = AddedContext(level, OnlyCross(level)) },
            "SkipDownBlock2D" or "SkipUpBlock2D" => new PyramidBlockOptions(),
            "AttnSkipDownBlock2D" or "AttnSkipUpBlock2D" => new PyramidBlockOptions
            {
                Attention = SelfAttention(level) with { OutputScale = Math.Sqrt(2), Groups = 32 },
            },
            "KDownBlock2D" or "KUpBlock2D" => new FilterBlockOptions(),
            _ => throw new InvalidDataException($"Unknown block type '{type}'."),
        };
    }

    private IUNetBlockOptions Middle()
    {
        var last = _widths.Length - 1;
        var missing = _conditional ? "UNetMidBlock2DCrossAttn" : "UNetMidBlock2D";
        var type = _config.TryGetProperty("mid_block_type", out var given) ? given.GetString() : missing;
        var block = new UNetBlockOptions { OutputScale = Number("mid_block_scale_factor") ?? 1 };
        var normed = !ScaleShift || Integer("attn_norm_num_groups") is not null;
        return (type, _conditional) switch
        {
            (null, _) => UNetMiddle.None,
            ("UNetMidBlock2D", true) => block with { MiddleLayers = 0 },
            ("UNetMidBlock2DCrossAttn", true) => block with
            {
                Attention = Transformer(last, Of("transformer_layers_per_block", last, 1), false),
            },
            ("UNetMidBlock2DSimpleCrossAttn", true) => block with
            {
                Attention = AddedContext(
                    last, Flag("mid_block_only_cross_attention") ?? (Find("only_cross_attention") is { ValueKind: JsonValueKind.True })),
                ActivateEmbedding = !(Flag("resnet_skip_time_act") ?? false),
            },
            ("UNetMidBlock2D", false) => block with
            {
                Attention = Flag("add_attention") ?? true
                    ? SelfAttention(last) with { OutputScale = block.OutputScale, Norm = normed, Groups = Integer("attn_norm_num_groups") }
                    : null,
            },
            _ => throw new InvalidDataException($"Unknown block type '{type}'."),
        };
    }

    /// <summary>
    /// attention_head_dim is the number of channels of a head here; a UNet2DConditionModel takes the number of heads where there is
    /// none.
    /// </summary>
    private SelfAttentionOptions SelfAttention(int level)
    {
        var single = _config.TryGetProperty("attention_head_dim", out var dim) && dim.ValueKind == JsonValueKind.Null;
        return new() { HeadWidth = single ? null : Of("attention_head_dim", level, 8) };
    }

    /// <summary>
    /// attention_head_dim, for transformers, is the number of heads, by a mistake that diffusers keeps; num_attention_heads is never
    /// set.
    /// </summary>
    private SpatialTransformerOptions Transformer(int level, int layers, bool onlyCross) => new()
    {
        Heads = Of("attention_head_dim", level, 8),
        Layers = layers,
        ContextWidth = Of("cross_attention_dim", level, 1280),
        LinearProjection = Flag("use_linear_projection") ?? false,
        OnlyCrossAttention = onlyCross,
    };

    private AddedContextAttentionOptions AddedContext(int level, bool onlyCross) => new()
    {
        HeadWidth = Of("attention_head_dim", level, 8),
        ContextWidth = Of("cross_attention_dim", level, 1280),
        OnlyCrossAttention = onlyCross,
        ContextGroups = Text("cross_attention_norm") switch
        {
            null => null,
            "group_norm" => 32,
            var other => throw new InvalidDataException($"Unknown cross_attention_norm '{other}'."),
        },
    };

    private bool OnlyCross(int level) => _config.TryGetProperty("only_cross_attention", out var value)
        && (value.ValueKind == JsonValueKind.Array ? value[level] : value).ValueKind == JsonValueKind.True;

    private IUNetConditioning? ClassEmbedding() => (Text("class_embed_type"), Integer("num_class_embeds")) switch
    {
        (null, { } classes) => UNetConditioning.Classes(classes),
        ("timestep", _) => UNetConditioning.LabelsAsTimes,
        ("identity", _) => UNetConditioning.Vector,
        ("projection", _) => UNetConditioning.ProjectedVector(Integer("projection_class_embeddings_input_dim")!.Value),
        ("simple_projection", _) => UNetConditioning.LinearVector(Integer("projection_class_embeddings_input_dim")!.Value),
        _ => null,
    };

    private IUNetConditioning? AddedEmbedding(bool flip, double shift)
    {
        switch (Text("addition_embed_type"))
        {
            case null:
                return null;
            case "text":
                return UNetConditioning.PooledSequence(
                    Integer("encoder_hid_dim") ?? Of("cross_attention_dim", 0, 1280), Integer("addition_embed_type_num_heads") ?? 64);
            case "text_time":
                var (inputs, each) = (Integer("projection_class_embeddings_input_dim")!.Value, Integer("addition_time_embed_dim")!.Value);
                return UNetConditioning.TextAndNumbers(inputs - (6 * each), 6, each, flip, shift);
            default:
                throw new InvalidDataException($"Unknown addition_embed_type '{Text("addition_embed_type")}'.");
        }
    }

    private static IActivation ActivationOf(string name) => name switch
    {
        "silu" or "swish" => Activation.Silu,
        "gelu" => Activation.Gelu,
        "relu" => Activation.Relu,
        "mish" => Activation.Of(x => x.exp().add(1).log().tanh().mul(x)),
        _ => throw new InvalidDataException($"Unknown activation '{name}'."),
    };

    private JsonElement? Find(string name)
        => _config.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private string? Text(string name) => Find(name)?.GetString();

    private int? Integer(string name) => Find(name)?.GetInt32();

    private double? Number(string name) => Find(name)?.GetDouble();

    private bool? Flag(string name) => Find(name)?.GetBoolean();

    private string[]? Texts(string name) => Find(name) is { } list ? [.. list.EnumerateArray().Select(item => item.GetString()!)] : null;

    private int[]? Integers(string name)
        => Find(name) is { ValueKind: JsonValueKind.Array } list ? [.. list.EnumerateArray().Select(item => item.GetInt32())] : null;

    /// <summary>A number that may be one for all levels or one for each.</summary>
    private int Of(string name, int level, int otherwise) => Find(name) switch
    {
        { ValueKind: JsonValueKind.Array } list => list[level].GetInt32(),
        { } number => number.GetInt32(),
        null => otherwise,
    };
}
