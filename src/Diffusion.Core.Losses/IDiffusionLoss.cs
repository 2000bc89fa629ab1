using System.Diagnostics.CodeAnalysis;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>A training loss, evaluated for each sample of a batch.</summary>
public interface IDiffusionLoss
{
    /// <summary>The loss of a model on one noised batch. Calls the network once.</summary>
    /// <param name="context">The model, the batch, its times and its noise. Owned by the caller.</param>
    /// <returns>Named values, [B] each. The caller must dispose them.</returns>
    /// <exception cref="ArgumentException">A shape does not fit, or the loss does not fit the model.</exception>
    LossTerms Evaluate(LossContext context);
}

/// <summary>What a loss is evaluated on. Owns none of its tensors.</summary>
/// <param name="Model">The model: network, schedule and prediction.</param>
/// <param name="X0">[B, ...] data.</param>
/// <param name="T">
/// [B] times of the schedule: int64 indices of a discrete one on the device of <paramref name="X0"/>; of a continuous one floating point on
/// the CPU, where its levels are computed, so that no step waits for a GPU.
/// </param>
/// <param name="Noise">The shape of <paramref name="X0"/>, drawn from N(0, I).</param>
/// <param name="Condition">Of the same batch size, or <see langword="null"/>.</param>
public sealed record LossContext(DiffusionModel Model, Tensor X0, Tensor T, Tensor Noise, Condition? Condition = null)
{
    /// <summary>
    /// The generator of the random numbers that a loss draws in addition to <see cref="Noise"/>, on any device. A trainer passes the
    /// generator of its step, so that a resumed run repeats the draws. The default is <see langword="null"/>: the default generator of
    /// TorchSharp.
    /// </summary>
    public Generator? Generator { get; init; }
}

/// <summary>The values of a loss for each sample of a batch, by name. Owns its tensors.</summary>
public sealed class LossTerms : IDisposable
{
    /// <summary>The name of the value that is minimised.</summary>
    public const string LossName = "loss";

    private readonly SortedDictionary<string, Tensor> _terms = new(StringComparer.Ordinal);

    /// <summary>Terms with the value to minimise.</summary>
    /// <param name="loss">[B] with gradients. Ownership passes to the terms.</param>
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
