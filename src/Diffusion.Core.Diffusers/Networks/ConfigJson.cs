using System.Text.Json.Nodes;
using Diffusion.Core.Models;

namespace Diffusion.Core.Diffusers;

/// <summary>Helper methods for the mappings of networks.</summary>
internal static class ConfigJson
{
    /// <summary>The version of diffusers whose configuration format is written.</summary>
    public const string Version = "0.40.0.dev0";

    private static readonly (string Name, Activation Activation)[] _activations =
    [
        ("silu", Activation.Silu), ("gelu", Activation.Gelu), ("relu", Activation.Relu),
    ];

    /// <summary>Creates the configuration of a class, with the keys for the class and the version of diffusers.</summary>
    public static ModelConfig Of(string className, JsonObject settings)
    {
        settings[DiffusersConfig.ClassKey] = className;
        settings["_diffusers_version"] = Version;
        return new ModelConfig(className, settings);
    }

    /// <summary>Returns a JSON array.</summary>
    public static JsonArray List(IEnumerable<int> values) => new([.. values.Select(value => (JsonNode)value)]);

    /// <summary>Returns a JSON array.</summary>
    public static JsonArray List(IEnumerable<string> values) => new([.. values.Select(value => (JsonNode)value)]);

    /// <summary>Returns a JSON array, or null.</summary>
    public static JsonArray? List(IEnumerable<double>? values) => values is null ? null : new([.. values.Select(value => (JsonNode)value)]);

    /// <summary>Returns the activation that <c>act_fn</c> specifies. The default is SiLU.</summary>
    /// <exception cref="NotSupportedException">The activation is not supported.</exception>
    public static Activation ActivationOf(ModelConfig config) => ActivationOf(config, "act_fn") ?? Activation.Silu;

    /// <summary>Returns the activation that a setting specifies, or null if the setting is missing or null.</summary>
    /// <exception cref="NotSupportedException">The activation is not supported.</exception>
    public static Activation? ActivationOf(ModelConfig config, string name)
    {
        var text = config.TextOrNull(name);
        if (text is null)
            return null;
        text = text is "swish" ? "silu" : text;
        return _activations.FirstOrDefault(known => known.Name == text).Activation ?? throw config.Unsupported(name);
    }

    /// <summary>Returns the value of <c>act_fn</c> for an activation.</summary>
    /// <exception cref="NotSupportedException">diffusers does not support the activation.</exception>
    public static string NameOf(Activation activation)
        => _activations.FirstOrDefault(known => known.Activation == activation).Name
            ?? throw new NotSupportedException(
                $"diffusers does not support the activation {activation.GetType().Name}. Supported: silu, gelu, relu.");

    /// <summary>Returns the exception for an option that the corresponding network of diffusers does not support.</summary>
    public static NotSupportedException NotThere(string className, string option, object? value)
        => new($"diffusers' {className} does not support {option} = {value ?? "null"}.");
}
