using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>The means of named values over the steps since the last call of <see cref="Take"/>. They are stored on the device.</summary>
internal sealed class RunningMeans(Device device) : IDisposable
{
    private readonly Dictionary<string, NamedSums> _kept = new(StringComparer.Ordinal);
    private readonly List<NamedSums> _staged = [];
    private Dictionary<string, (double Sum, double Count)> _earlier = new(StringComparer.Ordinal);

    /// <summary>
    /// The sum and the count of each name so far, for a checkpoint. Setting it replaces all values. Reading it waits for the device.
    /// </summary>
    public IReadOnlyDictionary<string, (double Sum, double Count)> Partial
    {
        get
        {
            var partial = new Dictionary<string, (double Sum, double Count)>(_earlier, StringComparer.Ordinal);
            foreach (var (names, sums, counts) in _kept.Values)
            {
                var (all, many) = (Numbers(sums), Numbers(counts));
                for (var i = 0; i < names.Count; i++)
                    partial[names[i]] = (all[i], many[i]);
            }

            return partial;
        }

        set
        {
            _earlier = new Dictionary<string, (double Sum, double Count)>(value, StringComparer.Ordinal);
            foreach (var (names, sums, counts) in _kept.Values)
            {
                using var scope = NewDisposeScope();
                sums.copy_(tensor(SumsOf(names)));
                counts.copy_(tensor(CountsOf(names)));
            }
        }
    }

    /// <summary>Adds values of the current step, which must not be disposed before <see cref="Commit"/> adds them to the means.</summary>
    public void Stage(NamedSums sums) => _staged.Add(sums);

    /// <summary>Removes the staged values of a step that failed.</summary>
    public void Discard() => _staged.Clear();

    /// <summary>Adds the staged values to the means, unless the step was skipped.</summary>
    /// <param name="apply">[] float64: 1 for a step that was not skipped, 0 otherwise.</param>
    /// <param name="skip">[] bool: true for a skipped step.</param>
    public void Commit(Tensor apply, Tensor skip)
    {
        foreach (var (names, sums, counts) in _staged)
        {
            var key = string.Join('\n', names);
            if (!_kept.TryGetValue(key, out var kept))
                kept = _kept[key] = new NamedSums(names, NewSums(SumsOf(names)), NewSums(CountsOf(names)));
            kept.Sums.Add_(sums.MaskedFill(skip, 0.0));
            kept.Counts.Add_(counts.mul(apply));
        }

        _staged.Clear();
    }

    /// <summary>
    /// Returns the means by name, NaN for a name without values, and sets all sums and counts to zero. Waits for the device.
    /// </summary>
    public SortedDictionary<string, double> Take()
    {
        var means = new SortedDictionary<string, double>(StringComparer.Ordinal);
        _earlier.Clear();
        foreach (var (names, sums, counts) in _kept.Values)
        {
            using var quotients = sums.div(counts);
            var values = Numbers(quotients);
            for (var i = 0; i < values.Length; i++)
                means[names[i]] = values[i];
            sums.Fill_(0.0);
            counts.Fill_(0.0);
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

    private static double[] Numbers(Tensor values)
    {
        using var onHost = values.cpu();
        return onHost.data<double>().ToArray();
    }

    private double[] SumsOf(IReadOnlyList<string> names) => [.. names.Select(name => _earlier.GetValueOrDefault(name).Sum)];

    private double[] CountsOf(IReadOnlyList<string> names) => [.. names.Select(name => _earlier.GetValueOrDefault(name).Count)];

    private Tensor NewSums(double[] values) => tensor(values, device: device).DetachFromDisposeScope();
}

/// <summary>Sums of named values over samples, on the device.</summary>
/// <param name="Names">The n names.</param>
/// <param name="Sums">[n] float64 the sum of the values of each name, without gradients.</param>
/// <param name="Counts">[n] float64 the number of values of each name.</param>
internal sealed record NamedSums(IReadOnlyList<string> Names, Tensor Sums, Tensor Counts);
