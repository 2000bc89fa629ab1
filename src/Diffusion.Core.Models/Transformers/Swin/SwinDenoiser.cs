using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A U-Net of Swin-transformer blocks: tokens attend within windows and shifted windows, 2x2 tokens are merged on the way down and
/// expanded on the way up, where each level also sees what it made on the way down. Its cost grows with the pixels, not with their square.
/// </summary>
/// <remarks>
/// <para>
/// Source: Liu et al. 2021 (windows, relative position bias, merging), Cao et al. 2021 (expanding, skips), Peebles and Xie 2023 (time,
/// label and vector shift, scale and gate each block, adaLN-Zero). Weights begin as N(0, 0.02^2) with zero biases, and as zero where the
/// condition modulates and at the output: every block begins as the identity and the first prediction is zero.
/// </para>
/// <para>
/// It takes images of any height and width: those that patches and merging do not tile are filled up with zeros on the right and below
/// and cut back at the end; places that fill up windows are hidden from attention.
/// </para>
/// <para>
/// State: <c>patch_embed</c>, <c>emb</c>, <c>down_blocks</c>, <c>up_blocks</c>, <c>proj_out_1</c>, <c>proj_out_2</c>. Parameters
/// (<see cref="ModuleWeights.Count"/>): 22,003,896 with the default options.
/// </para>
/// <para>On a device other than the CPU labels are not looked at: one out of range is undefined there.</para>
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

    /// <summary>A network with fresh weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
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
        _output = new ModulatedOutput(options.Width, embeddingWidth, options.Outputs * options.PatchSize * options.PatchSize);
        foreach (var (name, part) in _output.named_children())
            register_module(name, part);
    }

    /// <summary>The architecture.</summary>
    public SwinDenoiserOptions Options { get; }

    /// <summary>The raw output of the network.</summary>
    /// <param name="xt">[B, C, H, W] noisy images of any size, of the type and on the device of the weights.</param>
    /// <param name="t">[B] int64 or floating point times, the unit of which is one step: 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">
    /// With labels, [B] int64 in 0..classes-1 or <see cref="TransformerOptions.NullLabel"/>, where the network has classes, and a vector,
    /// [B, vector width], where it takes one.
    /// </param>
    /// <returns>[B, out channels, H, W]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape, type, device or label does not fit; the message names what was expected.</exception>
    public override Tensor forward(Tensor xt, Tensor t, Condition? condition)
    {
        Guard.Shape(xt, [-1, Options.Channels, -1, -1]);
        if (xt.shape[2] < 1 || xt.shape[3] < 1)
            throw new ArgumentException($"x_t must hold pixels, got shape {Guard.Format(xt.shape)}.", nameof(xt));
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

    /// <summary>The image with sides that patches and merging tile.</summary>
    private Tensor Filled(Tensor xt)
    {
        var tile = (long)Options.PatchSize << (Options.Depths.Count - 1);
        long Missing(long side) => (tile - (side % tile)) % tile;

        var (below, right) = (Missing(xt.shape[2]), Missing(xt.shape[3]));
        return below == 0 && right == 0 ? xt : nn.functional.pad(xt, [0, right, 0, below]);
    }
}

/// <summary>
/// The architecture of a <see cref="SwinDenoiser"/>. Levels count from the finest tokens down; each but the last merges 2x2 tokens at its
/// end and so doubles the width.
/// </summary>
public sealed record SwinDenoiserOptions : TransformerOptions
{
    /// <summary>The width of the tokens of the first level. 96 by default.</summary>
    public int Width { get; init; } = 96;

    /// <summary>
    /// Blocks of each level; as many on the way up. An even number lets whole and shifted windows take turns. [2, 2, 6] by default.
    /// </summary>
    public IReadOnlyList<int> Depths { get; init; } = [2, 2, 6];

    /// <summary>Attention heads of each level; they divide its width. [3, 6, 12] by default.</summary>
    public IReadOnlyList<int> Heads { get; init; } = [3, 6, 12];

    /// <summary>The side of a window in tokens. 4 by default; 7 in the paper, for images of 224.</summary>
    public int WindowSize { get; init; } = 4;

    /// <summary>The width of the tokens of a level.</summary>
    internal int LevelWidth(int level) => checked(Width << level);

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        Guard.Positive(WindowSize);
        ArgumentNullException.ThrowIfNull(Depths);
        ArgumentNullException.ThrowIfNull(Heads);
        if (Depths.Count is < 1 or > 16 || Depths.Any(depth => depth < 1))
            throw new ArgumentException(
                $"{nameof(Depths)} must have 1 to 16 levels of at least one block, got [{string.Join(", ", Depths)}].", nameof(Depths));
        if (Heads.Count != Depths.Count)
            throw new ArgumentException($"{nameof(Heads)} must name {Depths.Count} levels, got {Heads.Count}.", nameof(Heads));
        for (var level = 0; level < Heads.Count; level++)
            ValidateHeads(LevelWidth(level), Heads[level], nameof(Heads));
    }
}
