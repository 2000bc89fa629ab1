namespace PretrainedDigits;

/// <summary>The values of the command-line options.</summary>
internal sealed record PretrainedDigitsOptions
{
    public required string Model { get; init; }

    public required string Output { get; init; }

    public required int Columns { get; init; }

    public required int DdimSteps { get; init; }

    public required int DpmSteps { get; init; }

    public required double Guidance { get; init; }

    public required long Seed { get; init; }

    public required string Device { get; init; }

    public string File(string name) => Path.Combine(Output, name);
}
