namespace Diffusion.Core.Models;

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
