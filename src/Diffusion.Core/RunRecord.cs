using System.Text.Json.Serialization;

namespace Diffusion.Core;

/// <summary>One line of a <see cref="MetricsFile"/>.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(ReportRecord), "report")]
[JsonDerivedType(typeof(MeasurementRecord), "measurement")]
[JsonDerivedType(typeof(PictureRecord), "picture")]
[JsonDerivedType(typeof(EventRecord), "event")]
public abstract record RunRecord
{
    /// <summary>Steps done.</summary>
    [JsonPropertyOrder(-2)]
    public required long Step { get; init; }

    /// <summary>How often the data was seen.</summary>
    [JsonPropertyOrder(-1)]
    public required double Epoch { get; init; }

    /// <summary>When it was written, in UTC.</summary>
    [JsonPropertyOrder(1)]
    public required DateTimeOffset Time { get; init; }
}
