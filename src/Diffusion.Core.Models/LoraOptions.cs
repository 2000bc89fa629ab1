namespace Diffusion.Core.Models;

/// <summary>The size and the place of a <see cref="LoraAdapter"/>.</summary>
public sealed record LoraOptions
{
    /// <summary>r, the rank of the change of each weight. 4 by default.</summary>
    public int Rank { get; init; } = 4;

    /// <summary>alpha: the change is scaled by alpha/r. Null, the default, for alpha = r, a scale of 1.</summary>
    public double? Alpha { get; init; }

    /// <summary>
    /// Which linear layers and two-dimensional convolutions are adapted, by their name in the module, such as
    /// <c>mid_block.attentions.0.to_q</c>. By default the projections of attention: names that end in <c>to_q</c>, <c>to_k</c>,
    /// <c>to_v</c> or <c>to_out.0</c>.
    /// </summary>
    public Func<string, bool> Targets { get; init; } = IsAttention;

    /// <summary>The probability of dropout before the first factor, in training mode. 0 by default.</summary>
    public double Dropout { get; init; }

    private static bool IsAttention(string name)
        => Array.Exists(["to_q", "to_k", "to_v", "to_out.0"], end => name == end || name.EndsWith('.' + end, StringComparison.Ordinal));
}
