namespace Diffusion.Core.Models;

/// <summary>
/// Attention of pixels to each other and to the tokens of the condition at once, after the residual blocks of a level: an
/// <see cref="AddedContextAttention"/>.
/// </summary>
public sealed record AddedContextAttentionOptions : IUNetLayerOptions
{
    /// <summary>Channels of one head; divides the width of the level. 64 by default.</summary>
    public int HeadWidth { get; init; } = 64;

    /// <summary>The width of the tokens that are attended to.</summary>
    public required int ContextWidth { get; init; }

    /// <summary>True to attend to the tokens alone, not to the pixels. False by default.</summary>
    public bool OnlyCrossAttention { get; init; }

    /// <summary>Groups of a group norm of the tokens; divides their width. Null, the default, for no norm.</summary>
    public int? ContextGroups { get; init; }

    /// <inheritdoc/>
    public IUNetLayer Build(UNetPlace place)
    {
        ArgumentNullException.ThrowIfNull(place);
        return new AddedContextAttention(this, place.Width, place.Network.Groups(), place.Network.Dimensions);
    }
}
