using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A transformer block in which tokens attend to each other only within windows, with a learned bias for each relative position and head.
/// Every second block of a level shifts its windows by half their size, which connects neighboring windows.
/// </summary>
/// <remarks>
/// Source: Liu et al. 2021, section 3.2, eq. 4; modulation: Peebles and Xie 2023. State: that of <see cref="TransformerBlock"/>, and
/// <c>relative_position_bias_table</c>, [(2 window - 1)^2, heads].
/// </remarks>
internal sealed class WindowBlock : NamedModule
{
    private const string TableName = "relative_position_bias_table";

    private readonly TransformerBlock _block;
    private readonly WindowTables _tables;
    private readonly bool _ownsTables;
    private readonly bool _shifted;
    private readonly int _heads;
    private readonly int _width;

    /// <summary>Creates a block with separate window tables.</summary>
    /// <param name="options">The options of the block, without a context width.</param>
    /// <param name="window">
    /// The side of a window, in tokens. If a side of the grid is shorter than a window, the window has the length of that side.
    /// </param>
    /// <param name="shifted">
    /// Whether the windows are shifted by half their size, along sides with more than one window. The default is <see langword="false"/>.
    /// </param>
    /// <exception cref="ArgumentException">An option is out of range, or there is a context width.</exception>
    public WindowBlock(TransformerBlockOptions options, int window, bool shifted = false)
        : this(options, new WindowTables(Guard.Positive(window)), shifted)
        => _ownsTables = true;

    /// <summary>Creates a block that shares the window tables of a network.</summary>
    internal WindowBlock(TransformerBlockOptions options, WindowTables tables, bool shifted)
        : base(nameof(WindowBlock))
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.ContextWidth is not null)
            throw new ArgumentException(
                Invariant($"A window block has no context, got a context width of {options.ContextWidth}."), nameof(options));
        (_tables, _shifted, _heads, _width) = (tables, shifted, options.Heads, options.Width);
        _block = new TransformerBlock(options);
        _block.Initialise(part => InitialWeights.Normal(part));
        foreach (var (name, part) in _block.named_children())
            register_module(name, part);
        var span = (2L * tables.Window) - 1;
        ParameterBudget.Spend(span, span, options.Heads);
        using var table = randn([span * span, options.Heads], dtype: ScalarType.Float32);
        register_parameter(TableName, (Parameter)nn.Parameter(table.Mul(0.02)).DetachFromDisposeScope());
    }

    /// <summary>Applies the block to tokens.</summary>
    /// <param name="tokens">[B, rows * columns, width], in row-major order.</param>
    /// <param name="embedding">[B, embedding width]; <see langword="null"/> for a block without modulation.</param>
    /// <param name="rows">The number of rows of tokens, which need not be a multiple of the window size.</param>
    /// <param name="columns">The number of columns of tokens.</param>
    /// <returns>[B, rows * columns, width]. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">A shape does not match, or the embedding is missing or not expected.</exception>
    public Tensor forward(Tensor tokens, Tensor? embedding, long rows, long columns)
    {
        Guard.Shape(tokens, [-1, Guard.Positive(rows) * Guard.Positive(columns), _width]);
        return _block.Run(tokens, embedding, (attention, normed) => Attend(attention, normed, rows, columns));
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
