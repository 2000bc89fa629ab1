using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A plain vision transformer as a denoiser: patches with learned position embeddings, pre-norm blocks, and a projection to pixels.
/// </summary>
/// <remarks>
/// <para>Source: Dosovitskiy et al. 2021, section 3.1, without the class token. The embeddings of timestep, label and vector are added to
/// every patch, or they are separate tokens. Weights are initialized from N(0, 0.02^2) and biases with zeros. The last layer is initialized
/// with zeros, so that the initial prediction is zero.</para>
/// <para>State: <c>patch_embed</c>, <c>pos_embed</c>, <c>emb</c>, <c>transformer_blocks</c>, <c>norm_out</c>, <c>proj_out</c>. Parameters
/// (<see cref="ModuleWeights.Count"/>): 21,648,780 with the default options.</para>
/// <para>Labels are checked on the CPU only. On other devices, the behavior for a label out of range is undefined.</para>
/// </remarks>
public sealed class ViTDenoiser : DenoisingNetwork
{
    private readonly TokenInput _input;
    private readonly ModuleList<TransformerBlock> _blocks = new();
    private readonly LayerNormalization _normOut;
    private readonly Linear _projectionOut;

    /// <summary>Creates a network with random weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public ViTDenoiser(ViTDenoiserOptions options)
        : base(nameof(ViTDenoiser))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        _input = new TokenInput(options, options.Width, options.ImageSize, options.ConditionTokens, timeNetwork: true);
        InitialWeights.Normal(_input);
        for (var index = 0; index < options.Depth; index++)
        {
            var block = new TransformerBlock(new TransformerBlockOptions
            {
                Width = options.Width,
                Heads = options.Heads,
                Hidden = Layers.Size(options.Width, options.FeedForwardRatio),
                Activation = options.Activation,
                Dropout = options.Dropout,
            });
            block.Initialise(part => InitialWeights.Normal(part));
            _blocks.Add(block);
        }

        foreach (var (name, part) in _input.named_children())
            register_module(name, part);
        register_module("transformer_blocks", _blocks);
        register_module("norm_out", _normOut = new LayerNormalization(options.Width));
        _projectionOut = Layers.Linear(options.Width, Layers.Size(options.Outputs, options.PatchSize, options.PatchSize));
        register_module("proj_out", _projectionOut);
        InitialWeights.Zero(_projectionOut);
    }

    /// <summary>The architecture.</summary>
    public ViTDenoiserOptions Options { get; }

    internal override string? UnusedPart(Condition condition)
        => DenoiserGuard.UnusedPart(condition, labels: Options.Classes is not null, vector: Options.VectorWidth is not null);

    /// <summary>Computes the raw output of the network.</summary>
    /// <param name="xt">
    /// [B, C, H, W] noisy images of the type and on the device of the weights. H and W must be multiples of the patch size.
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
        foreach (var block in _blocks)
        {
            tokens = Layers.Replace(tokens, GradientCheckpointing.RunIf(
                training && Options.UseGradientCheckpointing, x => block.call(x, null, null), tokens));
        }

        return _input.Join(_projectionOut.call(_normOut.call(tokens)), xt.shape).MoveToOuterDisposeScope();
    }
}

/// <summary>The architecture of a <see cref="ViTDenoiser"/>.</summary>
public sealed record ViTDenoiserOptions : TransformerOptions
{
    /// <summary>
    /// The side, in pixels, of the images for which the position embeddings are learned, a multiple of the patch size. The default is 32.
    /// </summary>
    /// <remarks>The network also accepts other sizes; it then interpolates the position embeddings.</remarks>
    public int ImageSize { get; init; } = 32;

    /// <summary>The width of the tokens, a multiple of the number of heads. The default is 384.</summary>
    public int Width { get; init; } = 384;

    /// <summary>The number of blocks. The default is 12.</summary>
    public int Depth { get; init; } = 12;

    /// <summary>The number of attention heads. The default is 6.</summary>
    public int Heads { get; init; } = 6;

    /// <summary>
    /// <see langword="true"/> if the embeddings of timestep, label and vector are tokens before the patches, <see langword="false"/> if
    /// they are added to every patch. The default is <see langword="false"/>.
    /// </summary>
    public bool ConditionTokens { get; init; }

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        Guard.Positive(Depth);
        ValidateHeads(Width, Heads, nameof(Heads));
        ValidateSize(ImageSize, nameof(ImageSize));
    }
}
