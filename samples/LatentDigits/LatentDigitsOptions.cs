namespace LatentDigits;

/// <summary>The values of the command-line options.</summary>
internal sealed record LatentDigitsOptions
{
    public string? DataFolder { get; init; }

    public required string Vae { get; init; }

    public required string Output { get; init; }

    public required long VaeSteps { get; init; }

    public required long Steps { get; init; }

    public double? Minutes { get; init; }

    public required int SamplingSteps { get; init; }

    public required int Columns { get; init; }

    public required long Seed { get; init; }

    public required string Device { get; init; }
}
