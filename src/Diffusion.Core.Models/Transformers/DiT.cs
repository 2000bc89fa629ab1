using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The diffusion transformer: patches with fixed position embeddings, and blocks that are shifted, scaled and gated by functions of
/// timestep, label and vector. The height and the width of the images can be any multiples of the patch size.
/// </summary>
/// <remarks>
/// <para>Source: Peebles and Xie 2023. Weights are initialized as in the paper: Xavier uniform in linear layers, N(0, 0.02^2) in
/// embeddings, and zero in the modulation layers and the output layer, so that initially every block is the identity and the prediction is
/// zero.</para>
/// <para>The state dict has the keys of diffusers' <c>DiTTransformer2DModel</c>, so that weights of the same architecture can be loaded.
/// With <see cref="DiTOptions.SharedEmbedding"/>, the shared embedding is <c>emb</c> instead of <c>transformer_blocks.i.norm1.emb</c>;
/// <see cref="WithEmbeddingPerBlock"/> converts such a network to one that diffusers can load. A label is dropped once for all blocks, as
/// in the paper.</para>
/// <para>Parameters (<see cref="DiTOptions.CountParameters"/>) of the sizes in the paper with 1000 classes: 32,865,056 (S/2), 130,315,808
/// (B/2), 457,840,672 (L/2), 674,834,720 (XL/2). The code of the paper also counts the fixed position embeddings.</para>
/// <para>Labels are checked on the CPU only. On other devices, the behavior for a label out of range is undefined.</para>
/// </remarks>
public sealed class DiT : DenoisingNetwork
{
    private const string NormInBlock = ".norm1.";
    private const string EmbeddingInBlock = NormInBlock + "emb.";

    private readonly PatchEmbedding _patches;
    private readonly SinusoidalPositions _positions;
    private readonly LabelDropout? _labelDropout;
    private readonly TransformerEmbedding? _embedding;
    private readonly ModuleList<TransformerBlock> _blocks = new();
    private readonly ModulatedOutput _output;

    /// <summary>Creates a network with random weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public DiT(DiTOptions options)
        : base(nameof(DiT))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        register_module("pos_embed", _patches = new PatchEmbedding(options.Channels, options.PatchSize, options.Width));
        register_module("positions", _positions = new SinusoidalPositions(options.Width, options.ImageSize / options.PatchSize));
        InitialWeights.Xavier(_patches);
        if (options.SharedEmbedding)
            register_module("emb", _embedding = new TransformerEmbedding(options, options.Width));
        if ((_labelDropout = TransformerInputs.Dropout(options)) is not null)
            register_module("label_dropout", _labelDropout);
        for (var block = 0; block < options.Depth; block++)
            _blocks.Add(Block(options));
        register_module("transformer_blocks", _blocks);
        _output = new ModulatedOutput(options.Width, options.Width, Layers.Size(options.Outputs, options.PatchSize, options.PatchSize));
        foreach (var (name, part) in _output.named_children())
            register_module(name, part);
    }

    /// <summary>The architecture.</summary>
    public DiTOptions Options { get; }

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
        _patches.Check(xt, nameof(xt));
        TransformerInputs.Check(Options, xt, t, condition, _patches.Weight);
        using var scope = NewDisposeScope();
        var (rows, columns) = (xt.shape[2] / Options.PatchSize, xt.shape[3] / Options.PatchSize);
        var labels = TransformerInputs.Labels(Options, _labelDropout, condition);
        Tensor Embed(TransformerEmbedding embedding) => embedding.call(t, labels, condition?.Vector);

        var shared = _embedding is null ? null : Embed(_embedding);
        Tensor? first = null;
        var tokens = _positions.forward(_patches.call(xt), rows, columns);
        foreach (var block in _blocks)
        {
            var told = shared ?? Embed(block.Embedding!);
            first ??= told;
            tokens = Layers.Replace(tokens, GradientCheckpointing.RunIf(
                training && Options.UseGradientCheckpointing, (x, embedding) => block.call(x, embedding, null), tokens, told));
            if (!ReferenceEquals(told, first))
                told.Dispose();
        }

        return PatchEmbedding.Join(_output.call(tokens, first!), rows, columns, Options.PatchSize).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Creates a copy of the network with a separate embedding in each block, as diffusers expects. If this network has a shared embedding,
    /// each block of the copy has a copy of it.
    /// </summary>
    /// <returns>A network of the same type and on the same device. The caller must dispose it.</returns>
    public DiT WithEmbeddingPerBlock()
    {
        var copy = new DiT(Options with { SharedEmbedding = false });
        copy.to(_patches.Weight.dtype);
        copy.to(_patches.Weight.device);
        copy.train(training);
        using var guard = no_grad();
        var own = named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter, StringComparer.Ordinal);
        foreach (var (name, parameter) in copy.named_parameters())
        {
            var inBlock = name.IndexOf(EmbeddingInBlock, StringComparison.Ordinal);
            parameter.copy_(own[_embedding is null || inBlock < 0 ? name : name[(inBlock + NormInBlock.Length)..]]);
        }

        return copy;
    }

    private static TransformerBlock Block(DiTOptions options)
    {
        var block = new TransformerBlock(
            new TransformerBlockOptions
            {
                Width = options.Width,
                Heads = options.Heads,
                EmbeddingWidth = options.Width,
                Hidden = Layers.Size(options.Width, options.FeedForwardRatio),
                Activation = options.Activation ?? Activation.GeluTanh,
                Dropout = options.Dropout,
                AttentionBias = options.AttentionBias,
                NormAffine = options.NormAffine,
                NormEpsilon = options.NormEpsilon,
            },
            options.SharedEmbedding ? null : new TransformerEmbedding(options, options.Width));
        block.Initialise(InitialWeights.Xavier);
        return block;
    }
}

/// <summary>
/// The architecture of a <see cref="DiT"/>. The static methods return the architectures of the paper, for latents with 4 channels, a
/// learned variance and 1000 classes.
/// </summary>
public sealed record DiTOptions : TransformerOptions
{
    private const int Modulations = 6;

    /// <summary>
    /// The side, in pixels, of the images or latents for which the network is designed, a multiple of the patch size. The default is 32.
    /// </summary>
    /// <remarks>The network also accepts other sizes; the coordinates of their patches are scaled to the same range.</remarks>
    public int ImageSize { get; init; } = 32;

    /// <summary>The width of the tokens, a multiple of 4 and of the number of heads. The default is 384.</summary>
    public int Width { get; init; } = 384;

    /// <summary>The number of blocks. The default is 12.</summary>
    public int Depth { get; init; } = 12;

    /// <summary>The number of attention heads. The default is 6.</summary>
    public int Heads { get; init; } = 6;

    /// <summary>
    /// <see langword="true"/> if all blocks share one embedding of timestep and condition, as in the paper; <see langword="false"/> if each
    /// block has a separate embedding, as in diffusers' <c>DiTTransformer2DModel</c>. <see cref="DiT.WithEmbeddingPerBlock"/> converts the
    /// first form to the second. The default is <see langword="false"/>.
    /// </summary>
    public bool SharedEmbedding { get; init; }

    /// <summary>Whether the projections to queries, keys and values have a bias. The default is <see langword="true"/>.</summary>
    public bool AttentionBias { get; init; } = true;

    /// <summary>
    /// Whether the norms before the feed-forward layers have a learned weight and bias. The default is <see langword="false"/>, as in the
    /// paper.
    /// </summary>
    public bool NormAffine { get; init; }

    /// <summary>
    /// The epsilon of the norms before the feed-forward layers. The default is 1e-6; in diffusers it is 1e-5. The epsilon of all other
    /// norms is 1e-6.
    /// </summary>
    public double NormEpsilon { get; init; } = 1e-6;

    /// <summary>DiT-S: width 384, 12 blocks, 6 heads; 33 million parameters with patches of size 2.</summary>
    /// <param name="patchSize">The side of a patch in pixels: 2, 4 or 8 in the paper. The default is 2.</param>
    public static DiTOptions Small(int patchSize = 2) => ImageNet(patchSize, 384, 12, 6);

    /// <summary>DiT-B: width 768, 12 blocks, 12 heads; 130 million parameters with patches of size 2.</summary>
    /// <param name="patchSize">The side of a patch in pixels: 2, 4 or 8 in the paper. The default is 2.</param>
    public static DiTOptions Base(int patchSize = 2) => ImageNet(patchSize, 768, 12, 12);

    /// <summary>DiT-L: width 1024, 24 blocks, 16 heads; 458 million parameters with patches of size 2.</summary>
    /// <param name="patchSize">The side of a patch in pixels: 2, 4 or 8 in the paper. The default is 2.</param>
    public static DiTOptions Large(int patchSize = 2) => ImageNet(patchSize, 1024, 24, 16);

    /// <summary>DiT-XL: width 1152, 28 blocks, 16 heads; 675 million parameters with patches of size 2.</summary>
    /// <param name="patchSize">The side of a patch in pixels: 2, 4 or 8 in the paper. The default is 2.</param>
    public static DiTOptions ExtraLarge(int patchSize = 2) => ImageNet(patchSize, 1152, 28, 16);

    /// <summary>Computes the number of parameters of a network with these options, without creating it.</summary>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public long CountParameters()
    {
        Validate();
        long width = Width, pixels = (long)PatchSize * PatchSize, hidden = width * FeedForwardRatio;
        static long Linear(long inputs, long outputs, bool bias = true) => (inputs * outputs) + (bias ? outputs : 0);
        var embedding = TransformerEmbedding.CountParameters(this, width);
        var gates = (Activation ?? Activation.GeluTanh).InputsPerOutput;
        var block = Linear(width, Modulations * width)
            + (3 * Linear(width, width, AttentionBias)) + Linear(width, width)
            + Linear(width, hidden * gates) + Linear(hidden, width)
            + (NormAffine ? 2 * width : 0)
            + (SharedEmbedding ? 0 : embedding);
        return Linear(Channels * pixels, width) + (SharedEmbedding ? embedding : 0) + (Depth * block)
            + Linear(width, 2 * width) + Linear(width, Outputs * pixels);
    }

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        Guard.Positive(Depth);
        Guard.Positive(NormEpsilon);
        ValidateHeads(Width, Heads, nameof(Heads));
        if (Width % 4 != 0)
            throw new ArgumentException(
                Invariant($"{nameof(Width)} must be a multiple of 4 for the positions, got {Width}."), nameof(Width));
        ValidateSize(ImageSize, nameof(ImageSize));
    }

    private static DiTOptions ImageNet(int patchSize, int width, int depth, int heads) => new()
    {
        Channels = 4,
        OutChannels = 8,
        Classes = 1000,
        PatchSize = patchSize,
        Width = width,
        Depth = depth,
        Heads = heads,
        SharedEmbedding = true,
    };
}
