namespace Diffusion.Core.Models;

/// <summary>Self-attention after the residual blocks of a level: a <see cref="SelfAttention2d"/>.</summary>
public sealed record SelfAttentionOptions : IUNetLayerOptions
{
    /// <summary>Channels of one head; divides the width of the level. Null, the default, for a single head.</summary>
    public int? HeadWidth { get; init; }

    /// <summary>A group norm before the attention. On by default.</summary>
    public bool Norm { get; init; } = true;

    /// <summary>Groups of that norm; those of the network by default.</summary>
    public int? Groups { get; init; }

    /// <summary>What the sum of input and answer is divided by. 1 by default.</summary>
    public double OutputScale { get; init; } = 1;

    /// <inheritdoc/>
    public IUNetLayer Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        var network = place.Network;
        var groups = Norm ? Groups ?? network.Groups() : (int?)null;
        return new SelfAttention2d(place.Width, HeadWidth, groups, network.NormEpsilon, OutputScale, network.Dimensions);
    }
}
