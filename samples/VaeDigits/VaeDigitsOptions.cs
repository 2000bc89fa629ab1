namespace VaeDigits;

/// <summary>The values of the command-line options.</summary>
internal sealed record VaeDigitsOptions
{
    public string? DataFolder { get; init; }

    public required string Output { get; init; }

    public required int[] Hidden { get; init; }

    public required int LatentFeatures { get; init; }

    public required bool TwoEncoders { get; init; }

    public required int BatchSize { get; init; }

    public required long Steps { get; init; }

    public required long ManifoldSteps { get; init; }

    public double? Minutes { get; init; }

    public required int ImportanceSamples { get; init; }

    public required long Seed { get; init; }

    public required string Device { get; init; }

    public string File(string name) => Path.Combine(Output, name);
}
