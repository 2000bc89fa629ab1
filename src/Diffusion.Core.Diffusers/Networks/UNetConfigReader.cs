using System.Text.Json.Nodes;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>Converts the configuration of a UNet2DModel or a UNet2DConditionModel to a layout.</summary>
internal sealed class UNetConfigReader
{
    private readonly ModelConfig _config;
    private readonly bool _isConditional;
    private readonly int[] _widths;

    public UNetConfigReader(ModelConfig config, bool isConditional)
    {
        (_config, _isConditional) = (config, isConditional);
        _widths = config.Wholes("block_out_channels") ?? (isConditional ? [320, 640, 1280, 1280] : [224, 448, 672, 896]);
        if (_widths.Length == 0)
            throw config.Unexpected("block_out_channels", "a list of at least one width", config.Json("block_out_channels"));
    }

    private bool ScaleShift => Choice("resnet_time_scale_shift", "default", "scale_shift") == "scale_shift";

    /// <summary>Returns the layout.</summary>
    /// <exception cref="NotSupportedException">A setting has a value that is not supported.</exception>
    public UNetLayout Layout()
    {
        // This setting is read only if a block has attention.
        _config.Ignore("attention_head_dim");
        if (_isConditional)
            RefuseWhatIsNotSupported();
        var encoding = Choice("time_embedding_type", "positional", _isConditional ? ["fourier"] : ["fourier", "learned"]);
        var activation = ConfigJson.ActivationOf(_config);
        var flip = _config.Flag("flip_sin_to_cos", true);
        var shift = _config.Number("freq_shift", 0.0);
        var isFourier = encoding == "fourier";
        var embeddingWidth = _config.WholeOrNull("time_embedding_dim") ?? (_isConditional && isFourier ? 2 : 4) * _widths[0];
        var steps = _config.WholeOrNull("num_train_timesteps");
        var encoder = _config.WholeOrNull("encoder_hid_dim");
        return new UNetLayout
        {
            ImageSize = SampleSize(),
            Channels = _config.Whole("in_channels", _isConditional ? 4 : 3),
            OutChannels = _config.Whole("out_channels", _isConditional ? 4 : 3),
            Levels = Levels(),
            Middle = Middle(),
            Dropout = _config.Number("dropout", 0.0),
            GroupNormGroups = _config.Whole("norm_num_groups", 32),
            NormEpsilon = _config.Number("norm_eps", 1e-5),
            ScaleShift = ScaleShift,
            Activation = activation,
            OuterActivation = _isConditional ? activation : Activation.Silu,
            EmbeddingWidth = embeddingWidth,
            TimeEncoding = encoding switch
            {
                "fourier" when _isConditional => new FourierTimeEncoding { Scale = 1, Logarithm = false, FlipSinToCos = flip, VectorWidth = embeddingWidth },
                "fourier" => TimeEncoding.Fourier(),
                "learned" => TimeEncoding.Learned(steps ?? throw _config.Unsupported("num_train_timesteps")),
                _ => new SinusoidalTimeEncoding { FlipSinToCos = flip, FrequencyShift = shift },
            },
            DivideByTime = isFourier && !_isConditional,
            TimestepConditionWidth = _config.WholeOrNull("time_cond_proj_dim"),
            TimeActivation = ConfigJson.ActivationOf(_config, "timestep_post_act"),
            EmbeddingActivation = ConfigJson.ActivationOf(_config, "time_embedding_act_fn"),
            ClassEmbedding = ClassEmbedding(),
            JoinClassEmbedding = _config.Flag("class_embeddings_concat", false),
            AddedEmbedding = AddedEmbedding(flip, shift),
            SequenceWidth = encoder,
            ProjectedSequenceWidth = encoder is null ? null : Of("cross_attention_dim", 0, 1280),
            CenterInput = _config.Flag("center_input_sample", false),
            InputKernel = _config.Whole("conv_in_kernel", 3),
            OutputKernel = _config.Whole("conv_out_kernel", 3),
        };
    }

    private void RefuseWhatIsNotSupported()
    {
        // The precision of attention, and settings that are read only for some types of blocks.
        _config.Ignore("upcast_attention");
        _config.Ignore("cross_attention_dim", "transformer_layers_per_block", "use_linear_projection", "only_cross_attention");
        _config.Require("attention_type", "default");
        _config.Require("dual_cross_attention", false);
        _config.Require("cross_attention_norm", "group_norm");
        _config.Require("num_attention_heads");
        _config.Require("encoder_hid_dim_type", "text_proj");
    }

    /// <summary>
    /// Returns the image size, which is only used to name resolutions: the first side if two are specified, or a multiple of the
    /// downsampling factor if the setting is missing.
    /// </summary>
    private int SampleSize()
        => _config.Json("sample_size") is not JsonArray list ? _config.Whole("sample_size", 1 << (_widths.Length + 2))
            : _config.Wholes("sample_size") is [var first, ..] ? first
            : throw _config.Unexpected("sample_size", "a whole number or a list of at least one", list);

    private string Choice(string name, string missing, params string[] others)
    {
        var value = _config.Text(name, missing);
        return value == missing || others.Contains(value) ? value : throw _config.Unsupported(name);
    }

    private UNetLevel[] Levels()
    {
        var levels = _widths.Length;
        var down = Types("down_block_types", _isConditional ? "CrossAttnDownBlock2D" : "AttnDownBlock2D", "DownBlock2D", plainFirst: !_isConditional);
        var up = Types("up_block_types", _isConditional ? "CrossAttnUpBlock2D" : "AttnUpBlock2D", "UpBlock2D", plainFirst: _isConditional);
        Array.Reverse(up);
        var (downsampling, upsampling) = (Choice("downsample_type", "conv", "resnet"), Choice("upsample_type", "conv", "resnet"));
        const string Layers = "transformer_layers_per_block", Reversed = "reverse_" + Layers;
        var isReversed = _config.Wholes(Reversed) is not null;
        return [.. Enumerable.Range(0, levels).Select(level => new UNetLevel
        {
            Width = _widths[level],
            Layers = Of("layers_per_block", level, 2),
            Down = Block("down_block_types", down[level], level, downsampling, Of(Layers, level, 1)),
            Up = Block(
                "up_block_types",
                up[level],
                level,
                upsampling,
                isReversed ? Of(Reversed, levels - 1 - level, 1) : Of(Layers, level, 1)),
        })];
    }

    private string[] Types(string name, string attending, string plain, bool plainFirst)
    {
        var types = _config.Texts(name) ?? [.. Enumerable.Range(0, 4).Select(i => i == (plainFirst ? 0 : 3) ? plain : attending)];
        return types.Length == _widths.Length
            ? types
            : throw new InvalidDataException(
                Invariant($"{_config.Origin}: '{name}' must have a block for each of {_widths.Length} levels, got {types.Length}."));
    }

    private IUNetBlockOptions Block(string setting, string type, int level, string resampling, int transformers)
    {
        var convolution = UNetResampling.Convolution(_config.Whole("downsample_padding", 1));
        var (scale, skipActivation) = (_config.Number("resnet_out_scale_factor", 1.0), _config.Flag("resnet_skip_time_act", false));
        var outer = new UNetBlockOptions { Resampling = UNetResampling.Residual, OutputScale = scale, ActivateEmbedding = !skipActivation };
        return type switch
        {
            "DownBlock2D" or "UpBlock2D" => new UNetBlockOptions { Resampling = convolution },
            "AttnDownBlock2D" or "AttnUpBlock2D" => new UNetBlockOptions
            {
                Attention = SelfAttention(level),
                Resampling = resampling == "resnet" ? UNetResampling.Residual : convolution,
            },
            "ResnetDownsampleBlock2D" or "ResnetUpsampleBlock2D" => outer,
            "SimpleCrossAttnDownBlock2D" or "SimpleCrossAttnUpBlock2D" => outer with { Attention = AddedContext(level, OnlyCross(level)) },
            "SkipDownBlock2D" or "SkipUpBlock2D" => new NcsnppBlockOptions(),
            "AttnSkipDownBlock2D" or "AttnSkipUpBlock2D" => new NcsnppBlockOptions
            {
                Attention = SelfAttention(level) with { OutputScale = Math.Sqrt(2), Groups = 32 },
            },
            "KDownBlock2D" or "KUpBlock2D" => new KBlockOptions(),
            "CrossAttnDownBlock2D" or "CrossAttnUpBlock2D" => new UNetBlockOptions
            {
                Attention = Transformer(level, transformers, OnlyCross(level)),
                Resampling = convolution,
            },
            _ => throw _config.Unsupported(setting),
        };
    }

    private IUNetBlockOptions Middle()
    {
        var last = _widths.Length - 1;
        var missing = _isConditional ? "UNetMidBlock2DCrossAttn" : "UNetMidBlock2D";
        var type = _config.Contains("mid_block_type") ? _config.TextOrNull("mid_block_type") : missing;
        var block = new UNetBlockOptions { OutputScale = _config.Number("mid_block_scale_factor", 1.0) };
        var groups = _config.WholeOrNull("attn_norm_num_groups");
        var attends = _config.Flag("add_attention", true);
        var onlyCrossInMiddle = _config.Flag(
            "mid_block_only_cross_attention", _config.Json("only_cross_attention") is not JsonArray && _config.Flag("only_cross_attention", false));
        if (onlyCrossInMiddle && type == "UNetMidBlock2DCrossAttn" && _config.Has("mid_block_only_cross_attention"))
            throw _config.Unsupported("mid_block_only_cross_attention");
        return (type, _isConditional) switch
        {
            (null, _) => UNetMiddle.None,
            ("UNetMidBlock2D", true) => block with { MiddleLayers = 0 },
            ("UNetMidBlock2DCrossAttn", true) => block with { Attention = Transformer(last, Of("transformer_layers_per_block", last, 1), onlyCross: false) },
            ("UNetMidBlock2DSimpleCrossAttn", true) => block with
            {
                Attention = AddedContext(last, onlyCrossInMiddle),
                ActivateEmbedding = !_config.Flag("resnet_skip_time_act", false),
            },
            ("UNetMidBlock2D", false) => block with
            {
                Attention = attends
                    ? SelfAttention(last) with { OutputScale = block.OutputScale, Norm = !ScaleShift || groups is not null, Groups = groups }
                    : null,
            },
            _ => throw _config.Unsupported("mid_block_type"),
        };
    }

    /// <summary>
    /// Returns the options of self-attention, where <c>attention_head_dim</c> is the number of channels per head. If it is null, which
    /// differs from missing, there is one head.
    /// </summary>
    private SelfAttentionOptions SelfAttention(int level)
        => new() { HeadWidth = _config.Contains("attention_head_dim") && !_config.Has("attention_head_dim") ? null : Of("attention_head_dim", level, 8) };

    /// <summary>
    /// Returns the options of a transformer, where <c>attention_head_dim</c> is the number of heads: a naming error that diffusers
    /// keeps for compatibility.
    /// </summary>
    private SpatialTransformerOptions Transformer(int level, int layers, bool onlyCross) => new()
    {
        Heads = Of("attention_head_dim", level, 8),
        Layers = layers,
        ContextWidth = Of("cross_attention_dim", level, 1280),
        LinearProjection = _config.Flag("use_linear_projection", false),
        OnlyCrossAttention = onlyCross,
    };

    private SimpleCrossAttentionOptions AddedContext(int level, bool onlyCross) => new()
    {
        HeadWidth = Of("attention_head_dim", level, 8),
        ContextWidth = Of("cross_attention_dim", level, 1280),
        OnlyCrossAttention = onlyCross,
        ContextGroups = _config.Has("cross_attention_norm") ? 32 : null,
    };

    private bool OnlyCross(int level) => _config.Json("only_cross_attention") switch
    {
        JsonArray => _config.Flags("only_cross_attention") is { } list && level < list.Length
            ? list[level]
            : throw _config.Unsupported("only_cross_attention"),
        _ => _config.Flag("only_cross_attention", false),
    };

    private UNetConditioning? ClassEmbedding()
    {
        var type = _config.TextOrNull("class_embed_type");
        var (classes, inputs) = (_config.WholeOrNull("num_class_embeds"), _config.WholeOrNull("projection_class_embeddings_input_dim"));
        return type switch
        {
            null => classes is { } count ? UNetConditioning.Classes(count) : null,
            "timestep" => UNetConditioning.LabelsAsTimes,
            "identity" => UNetConditioning.Vector,
            "projection" => UNetConditioning.ProjectedVector(inputs ?? throw _config.Unsupported("projection_class_embeddings_input_dim")),
            "simple_projection" => UNetConditioning.LinearVector(inputs ?? throw _config.Unsupported("projection_class_embeddings_input_dim")),
            _ => throw _config.Unsupported("class_embed_type"),
        };
    }

    /// <summary>
    /// Returns the added embedding: pooled text, or pooled text together with the sizes and crop coordinates of SDXL, which are six
    /// numbers.
    /// </summary>
    private UNetConditioning? AddedEmbedding(bool flip, double shift)
    {
        const int Numbers = 6;
        var type = _config.TextOrNull("addition_embed_type");
        var each = _config.WholeOrNull("addition_time_embed_dim");
        var heads = _config.Whole("addition_embed_type_num_heads", 64);
        if (type is null)
            return null;
        if (type == "text")
            return UNetConditioning.PooledSequence(_config.WholeOrNull("encoder_hid_dim") ?? Of("cross_attention_dim", 0, 1280), heads);
        if (type != "text_time")
            throw _config.Unsupported("addition_embed_type");
        var inputs = _config.WholeOrNull("projection_class_embeddings_input_dim")
            ?? throw _config.Unsupported("projection_class_embeddings_input_dim");
        var width = each ?? throw _config.Unsupported("addition_time_embed_dim");
        var encoding = new SinusoidalTimeEncoding { FlipSinToCos = flip, FrequencyShift = shift };
        return UNetConditioning.TextAndNumbers(inputs - (Numbers * width), Numbers, width, encoding);
    }

    /// <summary>Returns a whole number that is specified either once for all levels or for each level.</summary>
    private int Of(string name, int level, int missing) => _config.Json(name) is JsonArray
        ? _config.Wholes(name) is { } list && level < list.Length ? list[level] : throw _config.Unsupported(name)
        : _config.Whole(name, missing);
}

/// <summary>The mapping of UNet2DModel, or of UNet2DConditionModel, whose levels attend to text.</summary>
internal sealed class UNetMapping(bool isConditional) : IModelMapping
{
    public const string Plain = "UNet2DModel";
    public const string Conditional = "UNet2DConditionModel";

    public string ClassName => isConditional ? Conditional : Plain;

    public nn.Module Create(ModelConfig config) => new UNet(new UNetConfigReader(config, isConditional).Layout());

    public ModelConfig? Describe(nn.Module network)
    {
        if (network is not UNet unet)
            return null;
        var writer = new UNetConfigWriter(unet.Layout);
        return writer.IsConditional == isConditional ? writer.Config() : null;
    }
}
