using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A vision transformer with the long skip connections of a U-Net: time, label, vector and patches are tokens of one sequence, and each
/// block after the middle one sees what its counterpart before it made.
/// </summary>
/// <remarks>
/// <para>
/// Source: Bao et al. 2023, section 3 and figure 1: skips joined and put through a linear layer, pre-norm blocks, tokens for time and
/// condition, learned positions, a 3x3 convolution after the linear projection to pixels. Weights begin as theirs: N(0, 0.02^2) linear
/// layers with zero biases.
/// </para>
/// <para>
/// State: <c>patch_embed</c>, <c>pos_embed</c>, <c>emb</c>, <c>in_blocks</c>, <c>mid_block</c>, <c>out_blocks</c>, <c>skips</c>,
/// <c>norm_out</c>, <c>proj_out</c>, <c>conv_out</c>.
/// </para>
/// <para>
/// Parameters (<see cref="ModuleWeights.Count"/>): 44,255,328 for U-ViT-S with patches of 2 on 32x32 colour images (44 million in the
/// paper), 130,941,060 for U-ViT-M with patches of 4 on 64x64 and 1000 classes (131 million).
/// </para>
/// <para>On a device other than the CPU labels are not looked at: one out of range is undefined there.</para>
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

    /// <summary>A network with fresh weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
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
            var skip = nn.Linear(2 * options.Width, options.Width);
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
        register_module("proj_out", _projectionOut = nn.Linear(options.Width, options.Outputs * options.PatchSize * options.PatchSize));
        InitialWeights.Normal(_projectionOut);
        if (options.FinalConvolution)
            register_module("conv_out", _convolutionOut = Layers.Convolution3x3(options.Outputs, options.Outputs));
    }

    /// <summary>The architecture.</summary>
    public UViTOptions Options { get; }

    /// <summary>The raw output of the network.</summary>
    /// <param name="xt">
    /// [B, C, H, W] noisy images or latents, H and W multiples of the patch size, of the type and on the device of the weights.
    /// </param>
    /// <param name="t">[B] int64 or floating point times, the unit of which is one step: 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">
    /// With labels, [B] int64 in 0..classes-1 or <see cref="TransformerOptions.NullLabel"/>, where the network has classes, and a vector,
    /// [B, vector width], where it takes one.
    /// </param>
    /// <returns>[B, out channels, H, W]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape, type, device or label does not fit; the message names what was expected.</exception>
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
        return ActivationCheckpoint.RunIf(training && Options.CheckpointActivations, Joined, tokens, skip);

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
            Hidden = options.Width * options.FeedForwardRatio,
            Activation = options.Activation,
            Dropout = options.Dropout,
            AttentionBias = options.AttentionBias,
        });
        block.Initialise(part => InitialWeights.Normal(part));
        return block;
    }
}
