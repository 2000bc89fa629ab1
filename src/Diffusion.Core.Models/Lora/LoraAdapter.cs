using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A small trainable change of a network whose own weights stay as they are: each chosen weight W acts as W + alpha/r B A, with A of r
/// rows and B of r columns. B starts at zero, so that at first the network answers as before, bit for bit.
/// </summary>
/// <remarks>
/// <para>Source: Hu et al. 2021, section 4.1.</para>
/// <para>The adapter is a module of its own, with the parameters <c>{layer}.lora_A.weight</c> and <c>{layer}.lora_B.weight</c>; the names
/// and the checkpoints of the network do not change. It hooks itself to the layers, so it acts wherever they are <c>call</c>ed. Several
/// adapters on one network add up. To train one, hand a <see cref="LoraDenoiser"/> to the trainer.</para>
/// <para>The factors are made with the type and on the device of their layer. Move the network first, or the adapter along with it.</para>
/// </remarks>
public sealed class LoraAdapter : nn.Module
{
    private readonly nn.Module _network;
    private readonly SortedDictionary<string, LoraLayer> _layers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LoraBranch> _branches = new(StringComparer.Ordinal);
    private double _mergedScale;
    private bool _removed;

    private LoraAdapter(nn.Module network, string name, double dropout)
        : base(name)
        => (_network, AdapterName, Dropout) = (network, name, dropout);

    /// <summary>What the adapter is called among others.</summary>
    public string AdapterName { get; }

    /// <summary>The probability of dropout before the first factor.</summary>
    public double Dropout { get; }

    /// <summary>How strongly the adapter acts, on top of alpha/r: 1 as trained, 0 not at all. It may be changed at any time.</summary>
    public double Scale { get; set; } = 1;

    /// <summary>True between <see cref="Merge"/> and <see cref="Unmerge"/>.</summary>
    public bool IsMerged { get; private set; }

    /// <summary>The names of the adapted layers, in order.</summary>
    public IReadOnlyCollection<string> Targets => _layers.Keys;

    /// <summary>The adapted layers by name.</summary>
    internal IReadOnlyDictionary<string, LoraLayer> Layers => _layers;

    /// <summary>Adapts a network, and freezes its own weights until the last adapter is removed.</summary>
    /// <param name="network">Holds the layers; must outlive the adapter.</param>
    /// <param name="options">Which, and how; the defaults where null.</param>
    /// <param name="name">What the adapter is called among others.</param>
    /// <returns>The adapter; the caller's. The first factors are drawn from the default generator.</returns>
    /// <exception cref="ArgumentException">An option is out of range, or no layer fits.</exception>
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

    /// <summary>Makes an adapter from a file, as <see cref="Save"/> writes it, diffusers does or did.</summary>
    /// <param name="network">The network it belongs to.</param>
    /// <param name="path">A safetensors file.</param>
    /// <param name="prefix">
    /// The part of a pipeline it is for: only tensors whose names begin with it count. Null for names without.
    /// </param>
    /// <param name="name">What the adapter is called among others.</param>
    /// <returns>The adapter, attached; the caller's.</returns>
    /// <exception cref="InvalidDataException">
    /// The file is damaged, has nothing for this network, or something that does not fit it.
    /// </exception>
    public static LoraAdapter Load(nn.Module network, string path, string? prefix = "unet", string name = "default")
    {
        ArgumentNullException.ThrowIfNull(network);
        return LoraFile.Load(network, path, prefix, name);
    }

    /// <summary>Writes the factors as diffusers does: <c>{prefix}.{layer}.lora_A.weight</c>, rank and alpha in the metadata.</summary>
    /// <param name="path">The file; replaced where it is there.</param>
    /// <param name="prefix">The part of a pipeline it is for, or null for none.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path, string? prefix = "unet") => LoraFile.Save(this, path, prefix);

    /// <summary>
    /// Adds the change to the weights of the network, at the present <see cref="Scale"/>. It then costs nothing, and cannot train.
    /// </summary>
    /// <exception cref="InvalidOperationException">The adapter is merged already, or was removed.</exception>
    public void Merge()
    {
        Require(!IsMerged, "is merged already");
        _mergedScale = Scale;
        AddToNetwork(_mergedScale);
        IsMerged = true;
    }

    /// <summary>Takes what <see cref="Merge"/> added out of the weights again, which are then as before but for rounding.</summary>
    /// <exception cref="InvalidOperationException">The adapter is not merged, or was removed.</exception>
    public void Unmerge()
    {
        Require(IsMerged, "is not merged");
        AddToNetwork(-_mergedScale);
        IsMerged = false;
    }

    /// <summary>
    /// Lets go of the network: what was merged stays in its weights, everything else ends. The adapter keeps its factors.
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

    /// <summary>Attaches an adapter with a rank and an alpha for each layer.</summary>
    internal static LoraAdapter Inject(
        nn.Module network, IReadOnlyDictionary<string, (int Rank, double Alpha)> targets, double dropout, string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        var candidates = Candidates(network);
        if (targets.Count == 0)
            throw new ArgumentException($"At least one of {candidates.Count} layers must be a target, got none.", nameof(targets));
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

    /// <summary>The layers of a network that can be adapted, by name.</summary>
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
    protected override void RegisterComponents()
    {
        // Layers are registered as they are made.
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
            throw new InvalidOperationException($"The adapter '{AdapterName}' {(_removed ? "was removed" : otherwise)}.");
    }
}

/// <summary>The size and the place of a <see cref="LoraAdapter"/>.</summary>
public sealed record LoraOptions
{
    /// <summary>r, the rank of the change of each weight. 4 by default.</summary>
    public int Rank { get; init; } = 4;

    /// <summary>alpha: the change is scaled by alpha/r. Null, the default, for alpha = r, a scale of 1.</summary>
    public double? Alpha { get; init; }

    /// <summary>
    /// Which linear layers and two-dimensional convolutions are adapted, by their name in the module, such as
    /// <c>mid_block.attentions.0.to_q</c>. By default the projections of attention: names that end in <c>to_q</c>, <c>to_k</c>,
    /// <c>to_v</c> or <c>to_out.0</c>.
    /// </summary>
    public Func<string, bool> Targets { get; init; } = IsAttention;

    /// <summary>The probability of dropout before the first factor, in training mode. 0 by default.</summary>
    public double Dropout { get; init; }

    private static bool IsAttention(string name)
        => Array.Exists(["to_q", "to_k", "to_v", "to_out.0"], end => name == end || name.EndsWith('.' + end, StringComparison.Ordinal));
}

/// <summary>
/// A network seen through its adapter: what is trained, averaged, saved in checkpoints and counted are the parameters of the adapter.
/// </summary>
/// <param name="network">The adapted network. Its own training mode stays as it is, and so do its weights.</param>
/// <param name="adapter">An adapter of that network.</param>
public sealed class LoraDenoiser(ITrainableDenoiser network, LoraAdapter adapter) : DelegatingDenoiser(network), ITrainableDenoiser
{
    private readonly LoraAdapter _adapter = adapter ?? throw new ArgumentNullException(nameof(adapter));

    /// <summary>The adapter.</summary>
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
