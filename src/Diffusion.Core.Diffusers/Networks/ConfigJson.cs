using System.Text.Json.Nodes;
using Diffusion.Core.Models;

namespace Diffusion.Core.Diffusers;

/// <summary>What the mappings of networks write alike.</summary>
internal static class ConfigJson
{
    /// <summary>The version of diffusers whose configurations these are.</summary>
    public const string Version = "0.40.0.dev0";

    private static readonly (string Name, Activation Activation)[] _activations =
    [
        ("silu", Activation.Silu), ("gelu", Activation.Gelu), ("relu", Activation.Relu),
    ];

    /// <summary>The configuration of a class, with what names it.</summary>
    public static ModelConfig Of(string className, JsonObject settings)
    {
        settings[DiffusersConfig.ClassKey] = className;
        settings["_diffusers_version"] = Version;
        return new ModelConfig(className, settings);
    }

    /// <summary>A list.</summary>
    public static JsonArray List(IEnumerable<int> values) => new([.. values.Select(value => (JsonNode)value)]);

    /// <summary>A list.</summary>
    public static JsonArray List(IEnumerable<string> values) => new([.. values.Select(value => (JsonNode)value)]);

    /// <summary>A list, or null.</summary>
    public static JsonArray? List(IEnumerable<double>? values) => values is null ? null : new([.. values.Select(value => (JsonNode)value)]);

    /// <summary>The activation that <c>act_fn</c> names.</summary>
    /// <exception cref="NotSupportedException">There is none of that name.</exception>
    public static Activation ActivationOf(ModelConfig config) => ActivationOf(config, "act_fn") ?? Activation.Silu;

    /// <summary>The activation that a setting names, or null where it is missing.</summary>
    /// <exception cref="NotSupportedException">There is none of that name.</exception>
    public static Activation? ActivationOf(ModelConfig config, string name)
    {
        var text = config.TextOrNull(name);
        if (text is null)
            return null;
        text = text is "swish" ? "silu" : text;
        return _activations.FirstOrDefault(known => known.Name == text).Activation ?? throw config.Unsupported(name);
    }

    /// <summary>The name of an activation, as <c>act_fn</c> has it.</summary>
    /// <exception cref="NotSupportedException">diffusers has none.</exception>
    public static string NameOf(Activation activation)
        => _activations.FirstOrDefault(known => known.Activation == activation).Name
            ?? throw new NotSupportedException($"diffusers has no such activation as {activation.GetType().Name}; it has: silu, gelu, relu.");

    /// <summary>The exception for a network that diffusers has, but not with this option.</summary>
    public static NotSupportedException NotThere(string className, string option, object? value)
        => new($"diffusers' {className} has nothing for {option} = {value ?? "null"}.");
}
