using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace Diffusion.Core.Diffusers;

/// <summary>
/// The supported network and pipeline classes of diffusers. Immutable: <see cref="With(IModelMapping)"/> and
/// <see cref="With(PipelineLayout)"/> return a table with one more class.
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

    /// <summary>The classes that this library supports.</summary>
    public static DiffusersTable Default { get; } = new(
        [
            new UNetMapping(isConditional: false), new UNetMapping(isConditional: true), new DiTMapping(), new AutoencoderKLMapping(), new VQModelMapping(),
            new ClipTextMapping(isProjected: false), new ClipTextMapping(isProjected: true),
        ],
        PipelineLayout.All);

    /// <summary>The names of the network classes, in ordinal order.</summary>
    public IEnumerable<string> Models => _models.Keys.Order(StringComparer.Ordinal);

    /// <summary>The names of the pipeline classes, in ordinal order.</summary>
    public IEnumerable<string> Pipelines => _pipelines.Keys.Order(StringComparer.Ordinal);

    /// <summary>Returns this table with one more network class, which replaces a class of the same name.</summary>
    public DiffusersTable With(IModelMapping mapping)
    {
        ArgumentNullException.ThrowIfNull(mapping);
        return new DiffusersTable(_models.Values.Where(other => other.ClassName != mapping.ClassName).Append(mapping), _pipelines.Values);
    }

    /// <summary>Returns this table with one more pipeline class, which replaces a class of the same name.</summary>
    public DiffusersTable With(PipelineLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new DiffusersTable(_models.Values, _pipelines.Values.Where(other => other.ClassName != layout.ClassName).Append(layout));
    }

    /// <summary>Returns whether a network class is supported.</summary>
    public bool Knows(string className) => _models.ContainsKey(className);

    /// <summary>Returns the mapping of a network class.</summary>
    /// <exception cref="NotSupportedException">The class is not supported.</exception>
    public IModelMapping Model(string className) => _models.TryGetValue(className, out var mapping)
        ? mapping
        : throw new NotSupportedException(
            Invariant($"The network '{className}' is not known. Known networks: {string.Join(", ", Models)}."));

    /// <summary>Returns the layout of a pipeline class.</summary>
    /// <exception cref="NotSupportedException">The class is not supported.</exception>
    public PipelineLayout Pipeline(string className) => _pipelines.TryGetValue(className, out var layout)
        ? layout
        : throw new NotSupportedException(
            Invariant($"The pipeline '{className}' is not known. Known pipelines: {string.Join(", ", Pipelines)}."));

    /// <summary>Returns the mapping and the configuration of a network of this library.</summary>
    /// <exception cref="NotSupportedException">diffusers has no such network, or does not support its options.</exception>
    internal (IModelMapping Mapping, ModelConfig Config) Describe(nn.Module network)
    {
        foreach (var mapping in _models.Values)
        {
            if (mapping.Describe(network) is { } config)
                return (mapping, config);
        }

        throw new NotSupportedException(
            Invariant($"diffusers has no network for {network.GetType().Name}. Known networks: {string.Join(", ", Models)}."));
    }
}

/// <summary>Maps a network class of diffusers or transformers to one of this library, and back.</summary>
/// <remarks>The state-dict names are the same in both libraries, except for those that <see cref="Rename"/> changes.</remarks>
public interface IModelMapping
{
    /// <summary>The class in diffusers or transformers, such as <c>UNet2DModel</c>.</summary>
    string ClassName { get; }

    /// <summary>The library that contains the class, as named in pipelines. The default is <c>diffusers</c>.</summary>
    string Library => "diffusers";

    /// <summary>The name of the weights file without <c>.safetensors</c>. The default is <c>diffusion_pytorch_model</c>.</summary>
    string WeightsName => "diffusion_pytorch_model";

    /// <summary>
    /// Creates a network with initial weights, on the CPU, in float32. <see cref="DiffusersModel.Load"/> calls it in
    /// <see cref="Models.ModuleWeights.Create"/>, so that the layers of this library throw before they allocate more than the weights have.
    /// </summary>
    /// <param name="config">The configuration. Settings that this method does not read are reported as unknown.</param>
    /// <exception cref="NotSupportedException">A setting is not supported; the message contains its name and value.</exception>
    /// <exception cref="InvalidDataException">A setting has the wrong type.</exception>
    /// <exception cref="ArgumentException">The settings are inconsistent.</exception>
    nn.Module Create(ModelConfig config);

    /// <summary>
    /// Returns the configuration from which <see cref="Create"/> constructs the network, or <see langword="null"/> for a network of
    /// another class.
    /// </summary>
    /// <exception cref="NotSupportedException">
    /// The class of diffusers or transformers does not support an option of the network; the message contains the option.
    /// </exception>
    ModelConfig? Describe(nn.Module network);

    /// <summary>Returns the state-dict name for a tensor of a file, or <see langword="null"/> to ignore the tensor.</summary>
    /// <param name="name">The name in the file. Files written by older versions contain older names.</param>
    string? Rename(string name) => OldNames.Attention(name);
}

/// <summary>Maps the names that tensors had in older versions of diffusers.</summary>
internal static partial class OldNames
{
    /// <summary>
    /// Returns the current name of a parameter of an attention block. Before version 0.15, <c>to_q</c>, <c>to_k</c>, <c>to_v</c> and
    /// <c>to_out.0</c> were named <c>query</c>, <c>key</c>, <c>value</c> and <c>proj_attn</c>. Other names are returned unchanged.
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
