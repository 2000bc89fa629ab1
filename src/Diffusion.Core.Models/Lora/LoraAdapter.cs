using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A low-rank adapter (LoRA) of a network with frozen weights: each target weight W is replaced by W + alpha/r B A, where A has r rows
/// and B has r columns. B is initialized with zeros, so that the output of the network is initially unchanged, bit for bit.
/// </summary>
/// <remarks>
/// <para>Source: Hu et al. 2021, section 4.1.</para>
/// <para>The adapter is a separate module, with the parameters <c>{layer}.lora_A.weight</c> and <c>{layer}.lora_B.weight</c>; the
/// parameter names and the checkpoints of the network do not change. It registers forward hooks on the layers, which run when a layer
/// is invoked by <c>call</c>, not by <c>forward</c>. The updates of several adapters of one network are added. To train an adapter,
/// pass a <see cref="LoraDenoiser"/> to the trainer.</para>
/// <para>The factors have the type and the device of the weights of their layer. Move the network before you create the adapter, or
/// move both.</para>
/// </remarks>
public sealed class LoraAdapter : NamedModule
{
    private readonly nn.Module _network;
    private readonly SortedDictionary<string, LoraLayer> _layers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LoraBranch> _branches = new(StringComparer.Ordinal);
    private double _mergedScale;
    private bool _removed;

    private LoraAdapter(nn.Module network, string name, double dropout)
        : base(name)
        => (_network, AdapterName, Dropout) = (network, name, dropout);

    /// <summary>The name of the adapter.</summary>
    public string AdapterName { get; }

    /// <summary>The probability of dropout before the first factor, in training mode.</summary>
    public double Dropout { get; }

    /// <summary>
    /// The factor by which the update is multiplied in addition to alpha/r; 0 disables the adapter. The default is 1. It may be set at
    /// any time, but does not change weights that are already merged.
    /// </summary>
    public double Scale { get; set; } = 1;

    /// <summary>Whether the update is merged into the weights of the network.</summary>
    public bool IsMerged { get; private set; }

    /// <summary>The names of the adapted layers, in ordinal order.</summary>
    public IReadOnlyCollection<string> Targets => _layers.Keys;

    /// <summary>The adapted layers by name.</summary>
    internal IReadOnlyDictionary<string, LoraLayer> Layers => _layers;

    /// <summary>Creates an adapter of a network, and freezes the weights of the network until its last adapter is removed.</summary>
    /// <param name="network">The network that contains the layers. It must not be disposed before the adapter.</param>
    /// <param name="options">The options; <see langword="null"/> for the defaults.</param>
    /// <param name="name">The name of the adapter.</param>
    /// <returns>The adapter, with A drawn from the default generator. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">An option is out of range, or no layer that can be adapted is a target.</exception>
    public static LoraAdapter Inject(nn.Module network, LoraOptions? options = null, string name = "default")
    {
        ArgumentNullException.ThrowIfNull(network);
        options ??= new LoraOptions();
        Guard.Positive(options.Rank);
        var alpha = Guard.Positive(options.Alpha ?? options.Rank, nameof(options.Alpha));
        var targets = Candidates(network).Where(candidate => options.Targets(candidate.Key))
            .ToDictionary(candidate => candidate.Key, _ => (options.Rank, alpha));
        return Inject(network, targets, options.Dropout, name);
    }

    /// <summary>Creates an adapter from a file written by <see cref="Save"/>, or by current or older versions of diffusers.</summary>
    /// <param name="network">The network of the adapter.</param>
    /// <param name="path">A safetensors file.</param>
    /// <param name="prefix">
    /// The name of a pipeline component: only tensors whose names begin with it are read. <see langword="null"/> for names without a
    /// prefix. The default is <c>unet</c>.
    /// </param>
    /// <param name="name">The name of the adapter.</param>
    /// <returns>The adapter, attached to the network. The caller must dispose it.</returns>
    /// <exception cref="InvalidDataException">
    /// The file is damaged, contains no tensors for this network, or contains tensors that do not match it.
    /// </exception>
    public static LoraAdapter Load(nn.Module network, string path, string? prefix = "unet", string name = "default")
    {
        ArgumentNullException.ThrowIfNull(network);
        return LoraFile.Load(network, path, prefix, name);
    }

    /// <summary>
    /// Writes the factors in the format of diffusers: tensors named <c>{prefix}.{layer}.lora_A.weight</c> and
    /// <c>{prefix}.{layer}.lora_B.weight</c>, with ranks and alphas in the metadata.
    /// </summary>
    /// <param name="path">The file, which is replaced if it exists.</param>
    /// <param name="prefix">
    /// The name of a pipeline component, with which the names of the tensors begin; <see langword="null"/> for no prefix. The default is
    /// <c>unet</c>.
    /// </param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path, string? prefix = "unet") => LoraFile.Save(this, path, prefix);

    /// <summary>
    /// Adds the update, with the current <see cref="Scale"/>, to the weights of the network. A merged adapter needs no additional
    /// computation in the forward pass and cannot be trained.
    /// </summary>
    /// <exception cref="InvalidOperationException">The adapter is already merged, or was removed.</exception>
    public void Merge()
    {
        Require(!IsMerged, "is already merged");
        _mergedScale = Scale;
        AddToNetwork(_mergedScale);
        IsMerged = true;
    }

    /// <summary>Subtracts the update that <see cref="Merge"/> added, which restores the weights up to rounding.</summary>
    /// <exception cref="InvalidOperationException">The adapter is not merged, or was removed.</exception>
    public void Unmerge()
    {
        Require(IsMerged, "is not merged");
        AddToNetwork(-_mergedScale);
        IsMerged = false;
    }

    /// <summary>
    /// Detaches the adapter from the network. A merged update remains in the weights. The factors of the adapter remain valid.
    /// </summary>
    public void Remove()
    {
        if (_removed)
            return;
        _removed = true;
        foreach (var layer in _layers.Values)
            layer.Detach();
        FrozenWeights.Release(_network);
    }

    /// <summary>Creates an adapter with separate values of rank and alpha for each layer.</summary>
    internal static LoraAdapter Inject(
        nn.Module network, IReadOnlyDictionary<string, (int Rank, double Alpha)> targets, double dropout, string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        var candidates = Candidates(network);
        if (targets.Count == 0)
            throw new ArgumentException(
                $"At least one of the {candidates.Count} layers that can be adapted must be a target, got none.", nameof(targets));
        var adapter = new LoraAdapter(network, name, dropout);
        foreach (var (target, (rank, alpha)) in targets)
        {
            var layer = new LoraLayer(candidates[target], rank, alpha, dropout, () => adapter.IsMerged ? 0 : adapter.Scale);
            adapter._layers.Add(target, layer);
            LoraBranch.Place(adapter, adapter._branches, target, layer);
        }

        FrozenWeights.Hold(network);
        return adapter;
    }

    /// <summary>Returns the layers of a network that can be adapted, by name.</summary>
    internal static Dictionary<string, nn.Module<Tensor, Tensor>> Candidates(nn.Module network)
    {
        var seen = new HashSet<nn.Module>(ReferenceEqualityComparer.Instance);
        var result = new Dictionary<string, nn.Module<Tensor, Tensor>>(StringComparer.Ordinal);
        foreach (var (name, module) in network.named_modules())
        {
            if (LoraLayer.Fits(module) && seen.Add(module))
                result.Add(name, (nn.Module<Tensor, Tensor>)module);
        }

        return result;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            Remove();
        base.Dispose(disposing);
    }

    private void AddToNetwork(double factor)
    {
        foreach (var layer in _layers.Values)
            layer.AddToBase(factor);
    }

    private void Require(bool condition, string otherwise)
    {
        if (_removed || !condition)
            throw new InvalidOperationException(Invariant($"The adapter '{AdapterName}' {(_removed ? "was removed" : otherwise)}."));
    }
}

/// <summary>The options of a <see cref="LoraAdapter"/>.</summary>
public sealed record LoraOptions
{
    /// <summary>r, the rank of the update of each weight. The default is 4.</summary>
    public int Rank { get; init; } = 4;

    /// <summary>alpha: the update is scaled by alpha/r. The default is <see langword="null"/>: alpha = r.</summary>
    public double? Alpha { get; init; }

    /// <summary>
    /// Returns whether to adapt a linear layer or two-dimensional convolution with the given name in the network, such as
    /// <c>mid_block.attentions.0.to_q</c>. The default selects the projections of attention: names whose last components are <c>to_q</c>,
    /// <c>to_k</c>, <c>to_v</c> or <c>to_out.0</c>.
    /// </summary>
    public Func<string, bool> Targets { get; init; } = IsAttention;

    /// <summary>The probability of dropout before the first factor, in training mode. The default is 0.</summary>
    public double Dropout { get; init; }

    private static bool IsAttention(string name)
        => Array.Exists(["to_q", "to_k", "to_v", "to_out.0"], end => name == end || name.EndsWith('.' + end, StringComparison.Ordinal));
}

/// <summary>
/// A network with an adapter, for a trainer: only the parameters of the adapter are trained, averaged, saved in checkpoints and counted.
/// </summary>
/// <param name="network">The adapted network. The trainer does not change its weights or its training mode.</param>
/// <param name="adapter">An adapter of that network.</param>
public sealed class LoraDenoiser(ITrainableDenoiser network, LoraAdapter adapter) : DelegatingDenoiser(network), ITrainableDenoiser
{
    private readonly LoraAdapter _adapter = adapter ?? throw new ArgumentNullException(nameof(adapter));

    /// <summary>The adapter, whose parameters are trained.</summary>
    public nn.Module Module => _adapter;

    /// <inheritdoc/>
    public override IDisposable? BeginInference() => new Scope(base.BeginInference(), new EvaluationMode(_adapter));

    private sealed class Scope(IDisposable? network, EvaluationMode adapter) : IDisposable
    {
        public void Dispose()
        {
            adapter.Dispose();
            network?.Dispose();
        }
    }
}
