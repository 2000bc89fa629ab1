using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// One level of the downward or the upward path of a <see cref="SwinDenoiser"/>. State: <c>blocks</c>, <c>merge</c>; <c>expand</c>,
/// <c>skip</c>.
/// </summary>
internal sealed class SwinLevel : NamedModule
{
    private readonly ModuleList<WindowBlock> _blocks = new();
    private readonly bool _checkpoint;

    /// <summary>Creates a level. On the downward path, all levels except the last merge tokens at their end.</summary>
    /// <param name="options">Valid options.</param>
    /// <param name="level">The index of the level; 0 is the highest resolution.</param>
    /// <param name="tables">The window tables, which the network owns.</param>
    /// <param name="up">
    /// <see langword="true"/> for a level of the upward path, which first expands the tokens of the next coarser level;
    /// <see langword="false"/> for a level of the downward path.
    /// </param>
    public SwinLevel(SwinDenoiserOptions options, int level, WindowTables tables, bool up)
        : base(nameof(SwinLevel))
    {
        _checkpoint = options.UseGradientCheckpointing;
        var width = options.LevelWidth(level);
        for (var block = 0; block < options.Depths[level]; block++)
            _blocks.Add(new WindowBlock(BlockOptions(options, level), tables, shifted: block % 2 == 1));
        if (up)
        {
            register_module("expand", Expand = new PatchExpanding(Layers.Size(2, width)));
            register_module("skip", Skip = Layers.Linear(2L * width, width));
            InitialWeights.Normal(Skip);
        }

        register_module("blocks", _blocks);
        if (!up && level < options.Depths.Count - 1)
            register_module("merge", Merge = new PatchMerging(width));
    }

    /// <summary>
    /// The merging layer at the end of a level of the downward path; <see langword="null"/> for the coarsest level and on the upward path.
    /// </summary>
    public PatchMerging? Merge { get; }

    /// <summary>The expanding layer at the beginning of a level of the upward path; <see langword="null"/> on the downward path.</summary>
    public PatchExpanding? Expand { get; }

    /// <summary>
    /// The projection of the expanded tokens after they are concatenated with the output of the same level on the downward path;
    /// <see langword="null"/> on the downward path.
    /// </summary>
    public Linear? Skip { get; }

    /// <summary>Applies the blocks to tokens. The caller must dispose the returned tensor.</summary>
    public Tensor Forward(Tensor tokens, Tensor embedding, long rows, long columns)
    {
        using var scope = NewDisposeScope();
        Tensor Run(WindowBlock block, Tensor input) => GradientCheckpointing.RunIf(
            training && _checkpoint, (x, told) => block.forward(x, told, rows, columns), input, embedding);

        var hidden = Run(_blocks[0], tokens);
        foreach (var block in _blocks.Skip(1))
            hidden = Layers.Replace(hidden, Run(block, hidden));
        return hidden.MoveToOuterDisposeScope();
    }

    private static TransformerBlockOptions BlockOptions(SwinDenoiserOptions options, int level) => new()
    {
        Width = options.LevelWidth(level),
        Heads = options.Heads[level],
        EmbeddingWidth = options.LevelWidth(options.Depths.Count - 1),
        Hidden = Layers.Size(options.LevelWidth(level), options.FeedForwardRatio),
        Activation = options.Activation,
        Dropout = options.Dropout,
        NormAffine = false,
        NormEpsilon = 1e-6,
    };
}
