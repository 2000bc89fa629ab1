using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The networks and the pipelines of diffusers that are known, by class. Immutable: <see cref="With(IModelMapping)"/> returns a larger one.
/// </summary>
public sealed class DiffusersTable
{
    private readonly Dictionary<string, IModelMapping> _models;
    private readonly Dictionary<string, PipelineLayout> _pipelines;

    private DiffusersTable(IEnumerable<IModelMapping> models, IEnumerable<PipelineLayout> pipelines)
    {
        _models = models.ToDictionary(mapping => mapping.ClassName, StringComparer.Ordinal);
        _pipelines = pipelines.ToDictionary(layout => layout.ClassName, StringComparer.Ordinal);
    }

    /// <summary>What this library knows.</summary>
    public static DiffusersTable Default { get; } = new(
        [
            new UNetMapping(isConditional: false), new UNetMapping(isConditional: true), new DiTMapping(), new AutoencoderKLMapping(), new VQModelMapping(),
            new ClipTextMapping(isProjected: false), new ClipTextMapping(isProjected: true),
        ],
        PipelineLayout.All);

    /// <summary>The classes of networks, in ordinal order.</summary>
    public IEnumerable<string> Models => _models.Keys.Order(StringComparer.Ordinal);

    /// <summary>The classes of pipelines, in ordinal order.</summary>
    public IEnumerable<string> Pipelines => _pipelines.Keys.Order(StringComparer.Ordinal);

    /// <summary>The same with one more class of networks, which takes the place of one of its name.</summary>
    public DiffusersTable With(IModelMapping mapping)
    {
        ArgumentNullException.ThrowIfNull(mapping);
        return new DiffusersTable(_models.Values.Where(other => other.ClassName != mapping.ClassName).Append(mapping), _pipelines.Values);
    }

    /// <summary>The same with one more class of pipelines, which takes the place of one of its name.</summary>
    public DiffusersTable With(PipelineLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new DiffusersTable(_models.Values, _pipelines.Values.Where(other => other.ClassName != layout.ClassName).Append(layout));
    }

    /// <summary>True for a class of networks that is known.</summary>
    public bool Knows(string className) => _models.ContainsKey(className);

    /// <summary>How a class of networks is read.</summary>
    /// <exception cref="NotSupportedException">It is not known.</exception>
    public IModelMapping Model(string className) => _models.TryGetValue(className, out var mapping)
        ? mapping
        : throw new NotSupportedException($"The network '{className}' is not known; there are: {string.Join(", ", Models)}.");

    /// <summary>How a class of pipelines is laid out.</summary>
    /// <exception cref="NotSupportedException">It is not known.</exception>
    public PipelineLayout Pipeline(string className) => _pipelines.TryGetValue(className, out var layout)
        ? layout
        : throw new NotSupportedException($"The pipeline '{className}' is not known; there are: {string.Join(", ", Pipelines)}.");

    /// <summary>The class and the configuration of a network of this library.</summary>
    /// <exception cref="NotSupportedException">diffusers has no such network, or not with these options.</exception>
    internal (IModelMapping Mapping, ModelConfig Config) Describe(nn.Module network)
    {
        foreach (var mapping in _models.Values)
        {
            if (mapping.Describe(network) is { } config)
                return (mapping, config);
        }

        throw new NotSupportedException($"diffusers has no {network.GetType().Name}; there are: {string.Join(", ", Models)}.");
    }
}

/// <summary>How one class of networks of diffusers, or of transformers, becomes one of this library, and back.</summary>
/// <remarks>State-dict names are the same on both sides, except for what <see cref="Rename"/> changes.</remarks>
public interface IModelMapping
{
    /// <summary>The class there, such as <c>UNet2DModel</c>.</summary>
    string ClassName { get; }

    /// <summary>The library of the class, as pipelines name it.</summary>
    string Library => "diffusers";

    /// <summary>The name of the weights, before <c>.safetensors</c>.</summary>
    string WeightsName => "diffusion_pytorch_model";

    /// <summary>A new network, with fresh weights, on the CPU, in float32.</summary>
    /// <param name="config">The configuration. Settings that are not read are reported to the user as unknown.</param>
    /// <exception cref="NotSupportedException">A setting asks for something that is not supported; the message names it and its value.</exception>
    /// <exception cref="InvalidDataException">A setting has the wrong type.</exception>
    /// <exception cref="ArgumentException">The settings do not fit together.</exception>
    nn.Module Create(ModelConfig config);

    /// <summary>The configuration from which <see cref="Create"/> constructs the network; null for a network of another kind.</summary>
    /// <exception cref="NotSupportedException">The other side has no such network; the message names the option.</exception>
    ModelConfig? Describe(nn.Module network);

    /// <summary>The name, in the state dict of the network, of a tensor of a file; null to leave it out.</summary>
    /// <param name="name">As it is in the file: files of older versions have older names.</param>
    string? Rename(string name) => OldNames.Attention(name);
}

/// <summary>The names that tensors had in older versions of diffusers.</summary>
internal static partial class OldNames
{
    /// <summary>
    /// Of an attention block: <c>query</c>, <c>key</c>, <c>value</c> and <c>proj_attn</c> are <c>to_q</c>, <c>to_k</c>, <c>to_v</c> and
    /// <c>to_out.0</c> since version 0.15. Other names stay as they are.
    /// </summary>
    public static string Attention(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return OldAttention().Replace(name, match => match.Value switch
        {
            "query" => "to_q",
            "key" => "to_k",
            "value" => "to_v",
            _ => "to_out.0",
        });
    }

    [GeneratedRegex(@"(?<=(?:^|\.)attentions\.\d+\.)(?:query|key|value|proj_attn)(?=\.(?:weight|bias)$)")]
    private static partial Regex OldAttention();
}
