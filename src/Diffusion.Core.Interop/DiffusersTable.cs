using static TorchSharp.torch;

namespace Diffusion.Core.Interop;

/// <summary>
/// The networks and the pipelines of diffusers that are known, by class. Immutable: <see cref="With(IModelMapping)"/> makes a larger one.
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
