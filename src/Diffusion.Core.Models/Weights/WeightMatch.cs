using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Which tensor of a set of files goes to which tensor of a network, proven to fit before anything is copied.</summary>
internal sealed class WeightMatch
{
    private readonly SafetensorsSet _set;
    private readonly WeightOptions _options;
    private readonly IReadOnlyDictionary<string, Tensor> _state;
    private readonly Dictionary<string, string> _sources = new(StringComparer.Ordinal);
    private readonly List<string> _converted = [];
    private readonly List<string> _renamed = [];
    private readonly List<string> _ignored = [];

    /// <summary>Matches names, shapes and types.</summary>
    /// <exception cref="InvalidDataException">They do not fit.</exception>
    public WeightMatch(IReadOnlyDictionary<string, Tensor> state, SafetensorsSet set, WeightOptions options)
    {
        (_state, _set, _options) = (state, set, options);
        MatchNames();
        foreach (var (name, source) in _sources)
            MatchTensor(name, source);
    }

    /// <summary>The conversions.</summary>
    public WeightReport Report => new(_converted, _renamed, _ignored);

    /// <summary>Copies every tensor, one at a time.</summary>
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
                    $"{_set.Path}: tensors '{_sources[name]}' and '{source}' are both called '{name}' by the network.");
            if (name is not null && name != source)
                _renamed.Add($"{source} to {name}");
        }

        var missing = _state.Keys.Where(name => !_sources.ContainsKey(name)).ToArray();
        if (missing.Length > 0 || unexpected.Count > 0)
            throw new InvalidDataException(
                $"{_set.Path} does not hold the weights of this network: {List(missing, "missing")}, "
                + $"{List([.. unexpected], "unexpected")}.");
    }

    private void MatchTensor(string name, string source)
    {
        var (target, entry) = (_state[name], _set[source]);
        ReadOnlySpan<long> expected = target.shape, actual = [.. entry.Shape];
        if (!(_options.IgnoreTrailingOnes ? Trimmed(actual).SequenceEqual(Trimmed(expected)) : actual.SequenceEqual(expected)))
            throw new InvalidDataException(
                $"{_set.Path}: tensor '{source}' must have shape {Guard.Format(expected)}, got {Guard.Format(actual)}.");
        _set.Verify(source);
        if (!entry.Type.IsNative || entry.Dtype != target.dtype)
        {
            if (!_options.Convert)
                throw new InvalidDataException($"{_set.Path}: tensor '{source}' must be of {target.dtype}, got {entry.Type}.");
            _converted.Add($"{name}: {entry.Type} to {target.dtype}");
        }
    }
}

/// <summary>How the tensors of a file become the weights of a network.</summary>
public sealed record WeightOptions
{
    /// <summary>
    /// From the name of a tensor in the file to its name in the network; null leaves the tensor out. By default names are the same.
    /// </summary>
    public Func<string, string?>? Rename { get; init; }

    /// <summary>
    /// True to convert tensors of another type to that of the network, such as bf16 weights to float32 (exact) or back (rounded);
    /// <see cref="WeightReport.Converted"/> lists them. Otherwise, they throw an exception. The default is <see langword="true"/>.
    /// </summary>
    public bool Convert { get; init; } = true;

    /// <summary>
    /// True to take weights whose shapes differ by trailing ones only, as those of a 1x1 convolution, [C, C, 1, 1], and of a linear layer,
    /// [C, C], do: they are the same numbers. False by default.
    /// </summary>
    public bool IgnoreTrailingOnes { get; init; }
}

/// <summary>The conversions of the tensors of a file that were loaded into a network.</summary>
/// <param name="Converted">Those of another type, as in <c>conv_in.weight: BF16 to Float32</c>.</param>
/// <param name="Renamed">Those under another name, as in <c>attn.query.weight to attn.to_q.weight</c>.</param>
/// <param name="Ignored">Those that were left out, by their names in the file.</param>
public sealed record WeightReport(IReadOnlyList<string> Converted, IReadOnlyList<string> Renamed, IReadOnlyList<string> Ignored);
