using System.Diagnostics.CodeAnalysis;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>The values of a loss for each sample of a batch, by name. Owns its tensors.</summary>
public sealed class LossTerms : IDisposable
{
    /// <summary>The name of the value that is minimised.</summary>
    public const string LossName = "loss";

    private readonly SortedDictionary<string, Tensor> _terms = new(StringComparer.Ordinal);

    /// <summary>Terms with the value to minimise.</summary>
    /// <param name="loss">[B] with gradients; taken over.</param>
    /// <exception cref="ArgumentException">Not one value for each sample.</exception>
    public LossTerms(Tensor loss) => Add(LossName, loss);

    /// <summary>[B] the value that is minimised.</summary>
    /// <exception cref="ObjectDisposedException">The terms were disposed.</exception>
    public Tensor Loss => _terms.TryGetValue(LossName, out var loss) ? loss : throw new ObjectDisposedException(nameof(LossTerms));

    /// <summary>The names, in ordinal order.</summary>
    public IEnumerable<string> Names => _terms.Keys;

    /// <summary>[B] the values of one name.</summary>
    /// <exception cref="KeyNotFoundException">There is no such term.</exception>
    public Tensor this[string name] => _terms.TryGetValue(name, out var term)
        ? term
        : throw new KeyNotFoundException($"There is no loss term '{name}'; there are: {string.Join(", ", _terms.Keys)}.");

    /// <summary>Adds a term and takes it over.</summary>
    /// <param name="name">A new name.</param>
    /// <param name="values">[B].</param>
    /// <returns>This object.</returns>
    /// <exception cref="ArgumentException">The name is taken, or there is not one value for each sample.</exception>
    public LossTerms Add(string name, Tensor values)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        Guard.Shape(values, [_terms.Count == 0 ? -1 : Loss.shape[0]]);
        if (!_terms.TryAdd(name, values))
            throw new ArgumentException($"There is already a loss term '{name}'.", nameof(name));
        return this;
    }

    /// <summary>One term, if there is one of that name.</summary>
    public bool TryGet(string name, [NotNullWhen(true)] out Tensor? values) => _terms.TryGetValue(name, out values);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var term in _terms.Values)
            term.Dispose();
        _terms.Clear();
    }
}
