using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A vision transformer with long skip connections, as in a U-Net. Timestep, label, vector and patches are tokens of one sequence, and each
/// block after the middle block also receives the output of the corresponding block before it.
/// </summary>
/// <remarks>
/// <para>Source: Bao et al. 2023, section 3 and figure 1: skip connections that are concatenated and projected by a linear layer, pre-norm
/// blocks, tokens for timestep and condition, learned position embeddings, and a 3x3 convolution after the linear projection to pixels. As
/// in the paper, the weights of linear layers are initialized from N(0, 0.02^2) and their biases with zeros.</para>
/// <para>State: <c>patch_embed</c>, <c>pos_embed</c>, <c>emb</c>, <c>in_blocks</c>, <c>mid_block</c>, <c>out_blocks</c>, <c>skips</c>,
/// <c>norm_out</c>, <c>proj_out</c>, <c>conv_out</c>.</para>
/// <para>Parameters (<see cref="ModuleWeights.Count"/>): 44,255,328 for U-ViT-S with patches of size 2 and 32x32 colour images (44 million
/// in the paper); 130,941,060 for U-ViT-M with patches of size 4, 64x64 images and 1000 classes (131 million in the paper).</para>
/// <para>Labels are checked on the CPU only. On other devices, the behavior for a label out of range is undefined.</para>
/// </remarks>
public sealed class UViT : DenoisingNetwork
{
    private readonly TokenInput _input;
    private readonly ModuleList<TransformerBlock> _before = new();
    private readonly TransformerBlock _middle;
    private readonly ModuleList<TransformerBlock> _after = new();
    private readonly ModuleList<Linear> _skips = new();
    private readonly LayerNormalization _normOut;
    private readonly Linear _projectionOut;
    private readonly Conv2d? _convolutionOut;

    /// <summary>Creates a network with random weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public UViT(UViTOptions options)
        : base(nameof(UViT))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        _input = new TokenInput(options, options.Width, options.ImageSize, asTokens: true, options.TimeNetwork);
        for (var block = 0; block < options.Depth / 2; block++)
        {
            _before.Add(Block(options));
            _after.Add(Block(options));
            var skip = Layers.Linear(2L * options.Width, options.Width);
            InitialWeights.Normal(skip);
            _skips.Add(skip);
        }

        foreach (var (name, part) in _input.named_children())
            register_module(name, part);
        register_module("in_blocks", _before);
        register_module("mid_block", _middle = Block(options));
        register_module("out_blocks", _after);
        register_module("skips", _skips);
        register_module("norm_out", _normOut = new LayerNormalization(options.Width));
        _projectionOut = Layers.Linear(options.Width, Layers.Size(options.Outputs, options.PatchSize, options.PatchSize));
        register_module("proj_out", _projectionOut);
        InitialWeights.Normal(_projectionOut);
        if (options.FinalConvolution)
            register_module("conv_out", _convolutionOut = Layers.Convolution3x3(options.Outputs, options.Outputs));
    }

    /// <summary>The architecture.</summary>
    public UViTOptions Options { get; }

    internal override string? UnusedPart(Condition condition)
        => DenoiserGuard.UnusedPart(condition, labels: Options.Classes is not null, vector: Options.VectorWidth is not null);

    /// <summary>Computes the raw output of the network.</summary>
    /// <param name="xt">
    /// [B, C, H, W] noisy images or latents of the type and on the device of the weights. H and W must be multiples of the patch size.
    /// </param>
    /// <param name="t">[B] int64 or floating point timesteps: 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">
    /// The condition. If the network has classes, it must contain labels, [B] int64 in 0..classes-1 or
    /// <see cref="TransformerOptions.NullLabel"/>. If the network has a vector width, it must contain a vector, [B, vector width].
    /// </param>
    /// <returns>[B, out channels, H, W]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">
    /// A shape, type, device or label does not match; the message contains the expected and the actual one.
    /// </exception>
    public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
    {
        _input.Check(xt, t, condition);
        using var scope = NewDisposeScope();
        var tokens = _input.call(xt, t, condition);
        var skips = new Stack<Tensor>();
        foreach (var block in _before)
            skips.Push(tokens = Run(block, null, tokens, null));
        tokens = Run(_middle, null, tokens, null);
        for (var block = 0; block < _after.Count; block++)
        {
            using var skip = skips.Pop();
            tokens = Layers.Replace(tokens, Run(_after[block], _skips[block], tokens, skip));
        }

        var image = _input.Join(_projectionOut.call(_normOut.call(tokens)), xt.shape);
        return (_convolutionOut is null ? image : _convolutionOut.call(image)).MoveToOuterDisposeScope();
    }

    private Tensor Run(TransformerBlock block, Linear? join, Tensor tokens, Tensor? skip)
    {
        return GradientCheckpointing.RunIf(training && Options.UseGradientCheckpointing, Joined, tokens, skip);

        Tensor Joined(IReadOnlyList<Tensor?> inputs)
        {
            if (join is null)
                return block.call(inputs[0]!, null, null);
            using var both = cat([inputs[0]!, inputs[1]!], 2);
            using var joined = join.call(both);
            return block.call(joined, null, null);
        }
    }

    private static TransformerBlock Block(UViTOptions options)
    {
        var block = new TransformerBlock(new TransformerBlockOptions
        {
            Width = options.Width,
            Heads = options.Heads,
            Hidden = Layers.Size(options.Width, options.FeedForwardRatio),
            Activation = options.Activation,
            Dropout = options.Dropout,
            AttentionBias = options.AttentionBias,
        });
        block.Initialise(part => InitialWeights.Normal(part));
        return block;
    }
}

/// <summary>The architecture of a <see cref="UViT"/>.</summary>
public sealed record UViTOptions : TransformerOptions
{
    /// <summary>
    /// The side, in pixels, of the images or latents for which the position embeddings are learned, a multiple of the patch size. The
    /// default is 32.
    /// </summary>
    /// <remarks>The network also accepts other sizes; it then interpolates the position embeddings.</remarks>
    public int ImageSize { get; init; } = 32;

    /// <summary>The width of the tokens, which must be even and a multiple of the number of heads. The default is 512.</summary>
    public int Width { get; init; } = 512;

    /// <summary>
    /// The number of blocks, which must be odd: there are as many blocks before the middle block as after it. The default is 13.
    /// </summary>
    public int Depth { get; init; } = 13;

    /// <summary>The number of attention heads. The default is 8.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>
    /// Whether the projections to queries, keys and values have a bias. The default is <see langword="false"/>, as in the paper.
    /// </summary>
    public bool AttentionBias { get; init; }

    /// <summary>
    /// Whether a two-layer network maps the sinusoidal embedding of t to the timestep token. The default is <see langword="false"/>, as in
    /// the paper: the sinusoidal embedding is the token.
    /// </summary>
    public bool TimeNetwork { get; init; }

    /// <summary>
    /// Whether a 3x3 convolution is applied to the image that is joined from the tokens. The default is <see langword="true"/>, as in the
    /// paper.
    /// </summary>
    public bool FinalConvolution { get; init; } = true;

    /// <summary>U-ViT-S: width 512, 13 blocks, 8 heads; 44 million parameters.</summary>
    public static UViTOptions Small { get; } = new();

    /// <summary>U-ViT-S (Deep): width 512, 17 blocks, 8 heads; 58 million parameters.</summary>
    public static UViTOptions SmallDeep { get; } = new() { Depth = 17 };

    /// <summary>U-ViT-M: width 768, 17 blocks, 12 heads; 131 million parameters.</summary>
    public static UViTOptions Middle { get; } = new() { Width = 768, Depth = 17, Heads = 12 };

    /// <summary>U-ViT-L: width 1024, 21 blocks, 16 heads; 287 million parameters.</summary>
    public static UViTOptions Large { get; } = new() { Width = 1024, Depth = 21, Heads = 16 };

    /// <summary>U-ViT-H: width 1152, 29 blocks, 16 heads; 501 million parameters.</summary>
    public static UViTOptions Huge { get; } = new() { Width = 1152, Depth = 29, Heads = 16 };

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        ValidateHeads(Width, Heads, nameof(Heads));
        if (Width % 2 != 0)
            throw new ArgumentException(
                Invariant($"{nameof(Width)} must be even for the sinusoidal embedding of t, got {Width}."), nameof(Width));
        if (Depth < 1 || Depth % 2 == 0)
            throw new ArgumentException(Invariant($"{nameof(Depth)} must be a positive odd number, got {Depth}."), nameof(Depth));
        ValidateSize(ImageSize, nameof(ImageSize));
    }
}
