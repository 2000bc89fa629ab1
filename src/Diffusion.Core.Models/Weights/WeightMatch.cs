using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The mapping from the tensors of a set of files to the tensors of a network. All tensors are checked before the first one is copied.
/// </summary>
internal sealed class WeightMatch
{
    private readonly SafetensorsSet _set;
    private readonly WeightOptions _options;
    private readonly IReadOnlyDictionary<string, Tensor> _state;
    private readonly Dictionary<string, string> _sources = new(StringComparer.Ordinal);
    private readonly List<string> _converted = [];
    private readonly List<string> _renamed = [];
    private readonly List<string> _ignored = [];

    /// <summary>Matches the names, and checks the shapes, the types and the values.</summary>
    /// <exception cref="InvalidDataException">The tensors of the files do not match those of the network, or a file is damaged.</exception>
    public WeightMatch(IReadOnlyDictionary<string, Tensor> state, SafetensorsSet set, WeightOptions options)
    {
        (_state, _set, _options) = (state, set, options);
        MatchNames();
        foreach (var (name, source) in _sources)
            MatchTensor(name, source);
    }

    /// <summary>The tensors that are converted, renamed or ignored.</summary>
    public WeightReport Report => new(_converted, _renamed, _ignored);

    /// <summary>Copies the tensors to the network, one at a time.</summary>
    public void Copy()
    {
        using var guard = no_grad();
        foreach (var (name, source) in _sources)
        {
            using var tensor = _set.Read(source);
            using var shaped = tensor.view(_state[name].shape);
            _state[name].copy_(shaped);
        }
    }

    private static string List(string[] names, string what)
        => names.Length == 0
            ? $"none {what}"
            : $"{names.Length} {what} ({string.Join(", ", names.Take(5))}{(names.Length > 5 ? ", ..." : "")})";

    private static ReadOnlySpan<long> Trimmed(ReadOnlySpan<long> shape) => shape.TrimEnd(1L);

    private void MatchNames()
    {
        var unexpected = new List<string>();
        foreach (var source in _set.Names)
        {
            var name = _options.Rename is null ? source : _options.Rename(source);
            if (name is null)
                _ignored.Add(source);
            else if (!_state.ContainsKey(name))
                unexpected.Add(name);
            else if (!_sources.TryAdd(name, source))
                throw new InvalidDataException(
                    Invariant($"{_set.Path}: tensors '{_sources[name]}' and '{source}' both map to '{name}' of the network."));
            if (name is not null && name != source)
                _renamed.Add($"{source} to {name}");
        }

        var missing = _state.Keys.Where(name => !_sources.ContainsKey(name)).ToArray();
        if (missing.Length > 0 || unexpected.Count > 0)
            throw new InvalidDataException(
                Invariant($"{_set.Path} does not hold the weights of this network: {List(missing, "missing")}, ")
                + Invariant($"{List([.. unexpected], "unexpected")}."));
    }

    private void MatchTensor(string name, string source)
    {
        var (target, entry) = (_state[name], _set[source]);
        ReadOnlySpan<long> expected = target.shape, actual = [.. entry.Shape];
        if (!(_options.IgnoreTrailingOnes ? Trimmed(actual).SequenceEqual(Trimmed(expected)) : actual.SequenceEqual(expected)))
            throw new InvalidDataException(
                Invariant($"{_set.Path}: tensor '{source}' must have shape {Guard.Format(expected)}, got {Guard.Format(actual)}."));
        _set.Verify(source);
        if (!entry.Type.IsNative || entry.Dtype != target.dtype)
        {
            if (!_options.Convert)
                throw new InvalidDataException(Invariant($"{_set.Path}: tensor '{source}' must be of {target.dtype}, got {entry.Type}."));
            _converted.Add($"{name}: {entry.Type} to {target.dtype}");
        }
    }
}

/// <summary>The options for loading the tensors of a file into a network.</summary>
public sealed record WeightOptions
{
    /// <summary>
    /// The function that converts the name of a tensor in the file to its name in the network. It returns <see langword="null"/> for
    /// tensors to ignore. The default is <see langword="null"/>: the names are the same.
    /// </summary>
    public Func<string, string?>? Rename { get; init; }

    /// <summary>
    /// <see langword="true"/> to convert tensors of other types to those of the network, such as bfloat16 weights to float32 (exact) or
    /// float32 weights to bfloat16 (rounded), and to list them in <see cref="WeightReport.Converted"/>; <see langword="false"/> to throw an
    /// exception. The default is <see langword="true"/>.
    /// </summary>
    public bool Convert { get; init; } = true;

    /// <summary>
    /// Whether shapes that differ only in trailing dimensions of size 1 match, such as [C, C, 1, 1] of a 1x1 convolution and [C, C] of the
    /// equivalent linear layer. The default is <see langword="false"/>.
    /// </summary>
    public bool IgnoreTrailingOnes { get; init; }
}

/// <summary>The differences between the tensors of a file and the tensors of the network into which they were loaded.</summary>
/// <param name="Converted">The tensors that were converted to another type, such as <c>conv_in.weight: BF16 to Float32</c>.</param>
/// <param name="Renamed">The tensors with another name, such as <c>attn.query.weight to attn.to_q.weight</c>.</param>
/// <param name="Ignored">The names in the file of the tensors that were not loaded.</param>
public sealed record WeightReport(IReadOnlyList<string> Converted, IReadOnlyList<string> Renamed, IReadOnlyList<string> Ignored);
