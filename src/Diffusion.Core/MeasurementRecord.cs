namespace Diffusion.Core;

/// <summary>What anyone measured.</summary>
public sealed record MeasurementRecord : RunRecord
{
    /// <summary>What was measured.</summary>
    public required string Name { get; init; }

    /// <summary>The value.</summary>
    public required double Value { get; init; }
}
