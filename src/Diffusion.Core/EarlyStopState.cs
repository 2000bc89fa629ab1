using System.Text.Json.Serialization;

namespace Diffusion.Core;

/// <summary>What an <see cref="EarlyStop"/> remembers.</summary>
internal sealed record EarlyStopState(double Best, int Misses);

/// <summary>How it is written.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    RespectRequiredConstructorParameters = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(EarlyStopState))]
internal sealed partial class EarlyStopJson : JsonSerializerContext;
