using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A U-Net of Swin transformer blocks, in which tokens attend to each other within windows and shifted windows. Tokens are merged on the
/// downward path and expanded on the upward path, where each level also receives the output of the same level on the downward path. The
/// computational cost is linear in the number of pixels.
/// </summary>
/// <remarks>
/// <para>Source: Liu et al. 2021 (windows, relative position bias, merging), Cao et al. 2021 (expanding, skip connections), Peebles and Xie
/// 2023 (adaLN-Zero: each block is shifted, scaled and gated by functions of timestep, label and vector). Weights are initialized from
/// N(0, 0.02^2) and biases with zeros. The modulation layers and the output layer are initialized with zeros, so that initially every block
/// is the identity and the prediction is zero.</para>
/// <para>The network accepts images of any height and width. If a side is not a multiple of the patch size times 2^(levels - 1), the image
/// is padded with zeros on the right and at the bottom, and the output is cropped. If the number of tokens along a side is not a multiple
/// of the window size, windows are padded too; this padding is excluded from attention.</para>
/// <para>State: <c>patch_embed</c>, <c>emb</c>, <c>down_blocks</c>, <c>up_blocks</c>, <c>proj_out_1</c>, <c>proj_out_2</c>. Parameters
/// (<see cref="ModuleWeights.Count"/>): 22,003,896 with the default options.</para>
/// <para>Labels are checked on the CPU only. On other devices, the behavior for a label out of range is undefined.</para>
/// </remarks>
public sealed class SwinDenoiser : DenoisingNetwork
{
    private readonly WindowTables _tables;
    private readonly PatchEmbedding _patches;
    private readonly TransformerEmbedding _embedding;
    private readonly LabelDropout? _labelDropout;
    private readonly ModuleList<SwinLevel> _down = new();
    private readonly ModuleList<SwinLevel> _up = new();
    private readonly ModulatedOutput _output;

    /// <summary>Creates a network with random weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public SwinDenoiser(SwinDenoiserOptions options)
        : base(nameof(SwinDenoiser))
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        _tables = new WindowTables(options.WindowSize);
        var last = options.Depths.Count - 1;
        var embeddingWidth = options.LevelWidth(last);
        register_module("patch_embed", _patches = new PatchEmbedding(options.Channels, options.PatchSize, options.Width));
        InitialWeights.Normal(_patches);
        register_module("emb", _embedding = new TransformerEmbedding(options, embeddingWidth));
        if ((_labelDropout = TransformerInputs.Dropout(options)) is not null)
            register_module("label_dropout", _labelDropout);
        for (var level = 0; level <= last; level++)
            _down.Add(new SwinLevel(options, level, _tables, up: false));
        for (var level = last - 1; level >= 0; level--)
            _up.Add(new SwinLevel(options, level, _tables, up: true));
        register_module("down_blocks", _down);
        register_module("up_blocks", _up);
        _output = new ModulatedOutput(options.Width, embeddingWidth, Layers.Size(options.Outputs, options.PatchSize, options.PatchSize));
        foreach (var (name, part) in _output.named_children())
            register_module(name, part);
    }

    /// <summary>The architecture.</summary>
    public SwinDenoiserOptions Options { get; }

    internal override string? UnusedPart(Condition condition)
        => DenoiserGuard.UnusedPart(condition, labels: Options.Classes is not null, vector: Options.VectorWidth is not null);

    /// <summary>Computes the raw output of the network.</summary>
    /// <param name="xt">[B, C, H, W] noisy images of any size, of the type and on the device of the weights.</param>
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
        Guard.Shape(xt, [-1, Options.Channels, -1, -1]);
        if (xt.shape[2] < 1 || xt.shape[3] < 1)
            throw new ArgumentException($"x_t must have at least one pixel, got shape {Guard.Format(xt.shape)}.", nameof(xt));
        TransformerInputs.Check(Options, xt, t, condition, _patches.Weight);
        using var scope = NewDisposeScope();
        var labels = TransformerInputs.Labels(Options, _labelDropout, condition);
        var embedding = _embedding.call(t, labels, condition?.Vector);
        var image = Filled(xt);
        var (rows, columns) = (image.shape[2] / Options.PatchSize, image.shape[3] / Options.PatchSize);
        var pixels = _output.call(Tokens(image, embedding, rows, columns), embedding);
        return PatchEmbedding.Join(pixels, rows, columns, Options.PatchSize)
            .narrow(2, 0, xt.shape[2]).narrow(3, 0, xt.shape[3]).contiguous().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _tables.Dispose();
        base.Dispose(disposing);
    }

    private Tensor Tokens(Tensor image, Tensor embedding, long rows, long columns)
    {
        var tokens = _patches.call(image);
        var skips = new Stack<Tensor>();
        foreach (var level in _down)
        {
            tokens = Layers.Replace(tokens, level.Forward(tokens, embedding, rows, columns));
            if (level.Merge is null)
                continue;
            skips.Push(tokens);
            tokens = level.Merge.forward(tokens, rows, columns);
            (rows, columns) = (rows / 2, columns / 2);
        }

        foreach (var level in _up)
        {
            using var expanded = level.Expand!.forward(tokens, rows, columns);
            (rows, columns) = (2 * rows, 2 * columns);
            using var skip = skips.Pop();
            using var joined = cat([expanded, skip], 2);
            using var narrowed = level.Skip!.call(joined);
            tokens = Layers.Replace(tokens, level.Forward(narrowed, embedding, rows, columns));
        }

        return tokens;
    }

    /// <summary>Pads the image so that its sides are multiples of the patch size times 2^(levels - 1).</summary>
    private Tensor Filled(Tensor xt)
    {
        var tile = (long)Options.PatchSize << (Options.Depths.Count - 1);
        long Missing(long side) => (tile - (side % tile)) % tile;

        var (below, right) = (Missing(xt.shape[2]), Missing(xt.shape[3]));
        return below == 0 && right == 0 ? xt : nn.functional.pad(xt, [0, right, 0, below]);
    }
}

/// <summary>
/// The architecture of a <see cref="SwinDenoiser"/>. Level 0 has the highest resolution. Each level except the last merges 2x2 tokens at
/// its end, which doubles the width.
/// </summary>
public sealed record SwinDenoiserOptions : TransformerOptions
{
    /// <summary>The width of the tokens of the first level. The default is 96.</summary>
    public int Width { get; init; } = 96;

    /// <summary>
    /// The number of blocks of each level, on the downward path and on the upward path. Within a level, blocks with regular windows and
    /// blocks with shifted windows alternate, beginning with regular windows. The default is [2, 2, 6].
    /// </summary>
    public IReadOnlyList<int> Depths { get; init; } = [2, 2, 6];

    /// <summary>The number of attention heads of each level, which must divide its width. The default is [3, 6, 12].</summary>
    public IReadOnlyList<int> Heads { get; init; } = [3, 6, 12];

    /// <summary>The side of a window, in tokens. The default is 4; the paper uses 7 for images of 224x224 pixels.</summary>
    public int WindowSize { get; init; } = 4;

    /// <summary>Returns the width of the tokens of a level.</summary>
    internal int LevelWidth(int level) => Layers.Size(Width, 1L << level);

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        Guard.Positive(WindowSize);
        ArgumentNullException.ThrowIfNull(Depths);
        ArgumentNullException.ThrowIfNull(Heads);
        if (Depths.Count is < 1 or > 16 || Depths.Any(depth => depth < 1))
            throw new ArgumentException(
                Invariant($"{nameof(Depths)} must have 1 to 16 levels of at least one block, got [{string.Join(", ", Depths)}]."),
                nameof(Depths));
        if (Heads.Count != Depths.Count)
            throw new ArgumentException($"{nameof(Heads)} must have a value for {Depths.Count} levels, got {Heads.Count}.", nameof(Heads));
        for (var level = 0; level < Heads.Count; level++)
            ValidateHeads(LevelWidth(level), Heads[level], nameof(Heads));
    }
}
