namespace Quickstart;

/// <summary>The values of the command-line options, with defaults for those that were not specified.</summary>
internal sealed record QuickstartOptions
{
    public required string Data { get; init; }

    public string? DataFolder { get; init; }

    public required string Output { get; init; }

    public required bool Resume { get; init; }

    public string? WeightsOnly { get; init; }

    public required int ImageSize { get; init; }

    public required int Width { get; init; }

    public required int BatchSize { get; init; }

    public required long Steps { get; init; }

    public long DefaultSteps => Data == "mnist" ? 4_000 : 2_000;

    public double? Minutes { get; init; }

    public required int SamplingSteps { get; init; }

    public required int Columns { get; init; }

    public required long Seed { get; init; }

    public required string Device { get; init; }

    public string CheckpointFolder => Path.Combine(Output, OutputFolder.Checkpoints);

    public string File(string name) => Path.Combine(Output, name);
}
