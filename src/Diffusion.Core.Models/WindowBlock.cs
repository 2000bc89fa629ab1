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
internal sealed class WindowBlock : nn.Module
{
    private const string TableName = "relative_position_bias_table";

    private readonly TransformerBlock _block;
    private readonly WindowTables _tables;
    private readonly bool _shifted;
    private readonly int _heads;

    /// <summary>A block of given sizes.</summary>
    /// <param name="options">Those of the transformer block; its norms have no parameters.</param>
    /// <param name="tables">Belong to the network.</param>
    /// <param name="shifted">True to shift the windows.</param>
    public WindowBlock(TransformerBlockOptions options, WindowTables tables, bool shifted)
        : base(nameof(WindowBlock))
    {
        (_tables, _shifted, _heads) = (tables, shifted, options.Heads);
        _block = new TransformerBlock(options);
        _block.Initialise(part => InitialWeights.Normal(part));
        foreach (var (name, part) in _block.named_children())
            register_module(name, part);
        var span = (2L * tables.Window) - 1;
        using var table = randn([span * span, options.Heads], dtype: ScalarType.Float32);
        register_parameter(TableName, (Parameter)nn.Parameter(table.mul(0.02)).DetachFromDisposeScope());
    }

    /// <summary>The tokens after the block; the caller's.</summary>
    /// <param name="tokens">[B, rows * columns, width].</param>
    /// <param name="embedding">[B, embedding width], or null for a block without.</param>
    /// <param name="rows">Tokens down.</param>
    /// <param name="columns">Tokens across.</param>
    public Tensor Forward(Tensor tokens, Tensor? embedding, long rows, long columns)
        => _block.Run(tokens, embedding, (attention, normed) => Attend(attention, normed, rows, columns));

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Done by name in the constructor.
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
            bias = bias.add(mask).repeat(batch, 1, 1, 1);
        var attended = attention.call(windows, null, bias);
        return attended.view(batch, layout.Windows * layout.Tokens, width).index_select(1, returns).MoveToOuterDisposeScope();
    }
}
