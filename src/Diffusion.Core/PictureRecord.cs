namespace Diffusion.Core;

/// <summary>A picture that was made.</summary>
public sealed record PictureRecord : RunRecord
{
    /// <summary>What it shows.</summary>
    public required string Name { get; init; }

    /// <summary>The PNG file, relative to the folder of the metrics file, with slashes.</summary>
    public required string Path { get; init; }
}
