using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>Means of named values over the steps since they were last taken, kept on the device until then.</summary>
internal sealed class RunningMeans(Device device) : IDisposable
{
    private readonly Dictionary<string, (IReadOnlyList<string> Names, Tensor Sums, Tensor Counts)> _kept = new(StringComparer.Ordinal);
    private readonly List<(IReadOnlyList<string> Names, Tensor Sums, Tensor Counts)> _staged = [];

    /// <summary>Values of the step at hand; they count once it is taken.</summary>
    /// <param name="names">n of them.</param>
    /// <param name="sums">[n] the sum of the values of each, without gradients; alive until <see cref="Commit"/>.</param>
    /// <param name="counts">[n] how many they were.</param>
    public void Stage(IReadOnlyList<string> names, Tensor sums, Tensor counts) => _staged.Add((names, sums, counts));

    /// <summary>Forgets values of a step that failed.</summary>
    public void Discard() => _staged.Clear();

    /// <summary>Takes the staged values in, or leaves them out.</summary>
    /// <param name="apply">[] float64: 1 to take them.</param>
    /// <param name="skip">[] bool: true to leave them.</param>
    public void Commit(Tensor apply, Tensor skip)
    {
        foreach (var (names, sums, counts) in _staged)
        {
            var key = string.Join('\n', names);
            if (!_kept.TryGetValue(key, out var kept))
                kept = _kept[key] = (names, NewSums(names.Count), NewSums(names.Count));
            kept.Sums.add_(sums.masked_fill(skip, 0.0));
            kept.Counts.add_(counts.mul(apply));
        }

        _staged.Clear();
    }

    /// <summary>The means by name, NaN for what had no value; all start anew. Waits for the device.</summary>
    public SortedDictionary<string, double> Take()
    {
        var means = new SortedDictionary<string, double>(StringComparer.Ordinal);
        using var scope = NewDisposeScope();
        foreach (var (names, sums, counts) in _kept.Values)
        {
            var values = sums.div(counts).cpu().data<double>().ToArray();
            for (var i = 0; i < values.Length; i++)
                means[names[i]] = values[i];
            sums.fill_(0.0);
            counts.fill_(0.0);
        }

        return means;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, sums, counts) in _kept.Values)
        {
            sums.Dispose();
            counts.Dispose();
        }

        _kept.Clear();
    }

    private Tensor NewSums(int count) => zeros([count], dtype: ScalarType.Float64, device: device).DetachFromDisposeScope();
}
