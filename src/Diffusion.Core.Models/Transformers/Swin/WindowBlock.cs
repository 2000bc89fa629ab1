using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A transformer block whose tokens attend within windows only, with a learned bias for each relative position and head; every other
/// block of a network shifts its windows by half their size, so that neighbours meet.
/// </summary>
/// <remarks>
/// Source: Liu et al. 2021, section 3.2, eq. 4; modulated as in Peebles and Xie 2023. State: that of <see cref="TransformerBlock"/> and
/// <c>relative_position_bias_table</c>, [(2 window - 1)^2, heads].
/// </remarks>
public sealed class WindowBlock : nn.Module
{
    private const string TableName = "relative_position_bias_table";

    private readonly TransformerBlock _block;
    private readonly WindowTables _tables;
    private readonly bool _ownsTables;
    private readonly bool _shifted;
    private readonly int _heads;
    private readonly int _width;

    /// <summary>A block of given sizes.</summary>
    /// <param name="options">Those of the block, which must attend to no context.</param>
    /// <param name="window">The side of a window in tokens; a shorter side of a grid makes it smaller there.</param>
    /// <param name="shifted">True to shift the windows by half their size, along the sides that have more than one.</param>
    /// <exception cref="ArgumentException">A size does not fit.</exception>
    public WindowBlock(TransformerBlockOptions options, int window, bool shifted = false)
        : this(options, new WindowTables(Guard.Positive(window)), shifted)
        => _ownsTables = true;

    /// <summary>A block that shares the tables of its network.</summary>
    internal WindowBlock(TransformerBlockOptions options, WindowTables tables, bool shifted)
        : base(nameof(WindowBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.ContextWidth is not null)
            throw new ArgumentException("A block of windows attends to no context.", nameof(options));
        (_tables, _shifted, _heads, _width) = (tables, shifted, options.Heads, options.Width);
        _block = new TransformerBlock(options);
        _block.Initialise(part => InitialWeights.Normal(part));
        foreach (var (name, part) in _block.named_children())
            register_module(name, part);
        var span = (2L * tables.Window) - 1;
        using var table = randn([span * span, options.Heads], dtype: ScalarType.Float32);
        register_parameter(TableName, (Parameter)nn.Parameter(table.Mul(0.02)).DetachFromDisposeScope());
    }

    /// <summary>The tokens after the block.</summary>
    /// <param name="tokens">[B, rows * columns, width], row by row.</param>
    /// <param name="embedding">[B, embedding width]; null for a plain block.</param>
    /// <param name="rows">Tokens down; any number, tiled by windows or not.</param>
    /// <param name="columns">Tokens across.</param>
    /// <returns>[B, rows * columns, width]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape does not fit, or the embedding is missing or not expected.</exception>
    public Tensor forward(Tensor tokens, Tensor? embedding, long rows, long columns)
    {
        Guard.Shape(tokens, [-1, Guard.Positive(rows) * Guard.Positive(columns), _width]);
        return _block.Run(tokens, embedding, (attention, normed) => Attend(attention, normed, rows, columns));
    }

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && _ownsTables)
            _tables.Dispose();
        base.Dispose(disposing);
    }

    private Tensor Attend(MultiHeadAttention attention, Tensor normed, long rows, long columns)
    {
        using var scope = NewDisposeScope();
        var (layout, places, returns, positions, mask) = _tables.Of(rows, columns, _shifted, normed);
        var (batch, width) = (normed.shape[0], normed.shape[2]);
        var filled = layout.Fills ? nn.functional.pad(normed, [0, 0, 0, 1]) : normed;
        var windows = filled.index_select(1, places).view(batch * layout.Windows, layout.Tokens, width);
        var bias = get_parameter(TableName)!.index_select(0, positions)
            .view(layout.Tokens, layout.Tokens, _heads).permute(2, 0, 1).unsqueeze(0);
        if (mask is not null)
            bias = bias.Add(mask).repeat(batch, 1, 1, 1);
        var attended = attention.call(windows, null, bias);
        return attended.view(batch, layout.Windows * layout.Tokens, width).index_select(1, returns).MoveToOuterDisposeScope();
    }
}
