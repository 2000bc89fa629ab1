using System.Text.Json.Serialization;

namespace Diffusion.Core.Models;

/// <summary>The options of this library's networks as JSON, without reflection.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(UNetOptions))]
[JsonSerializable(typeof(MlpDenoiserOptions))]
internal sealed partial class NetworkJson : JsonSerializerContext
{
    /// <summary>With the settings above.</summary>
    public static NetworkJson Shared => Default;
}
