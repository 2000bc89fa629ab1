using System.Diagnostics.CodeAnalysis;
using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>A training loss, evaluated for each sample of a batch.</summary>
public interface IDiffusionLoss
{
    /// <summary>Computes the loss of a model on one noised batch. Calls the network once.</summary>
    /// <param name="context">The model, the batch, its times and its noise. The loss does not dispose them.</param>
    /// <returns>The values of the loss by name, [B] each. The caller must dispose the returned object.</returns>
    /// <exception cref="ArgumentException">A shape does not match, or the loss does not support the model.</exception>
    LossTerms Evaluate(LossContext context);
}

/// <summary>The arguments of a loss. The object does not own its tensors.</summary>
/// <param name="Model">The model: the network, the schedule and the prediction.</param>
/// <param name="X0">[B, ...] the data.</param>
/// <param name="T">
/// [B] times of the schedule. For a discrete schedule, int64 indices on the device of <paramref name="X0"/>; for a continuous
/// schedule, floating point on the CPU, where the noise levels are computed, so that no step has to wait for a GPU.
/// </param>
/// <param name="Noise">The noise, drawn from N(0, I), with the shape of <paramref name="X0"/>.</param>
/// <param name="Condition">
/// The condition, with the same batch size, or <see langword="null"/> for none. The default is <see langword="null"/>.
/// </param>
public sealed record LossContext(DiffusionModel Model, Tensor X0, Tensor T, Tensor Noise, Condition? Condition = null)
{
    /// <summary>
    /// The generator of the random numbers that a loss draws in addition to <see cref="Noise"/>, on any device. A trainer passes the
    /// generator of its step, so that a resumed run repeats the draws. The default is <see langword="null"/>: the default generator of
    /// TorchSharp.
    /// </summary>
    public Generator? Generator { get; init; }
}

/// <summary>The values of a loss for each sample of a batch, by name. The object owns its tensors.</summary>
public sealed class LossTerms : IDisposable
{
    /// <summary>The name of the term that is minimised.</summary>
    public const string LossName = "loss";

    private readonly SortedDictionary<string, Tensor> _terms = new(StringComparer.Ordinal);

    /// <summary>Creates an object with the term that is minimised.</summary>
    /// <param name="loss">[B] the loss, with gradients. Ownership of the tensor passes to this object.</param>
    /// <exception cref="ArgumentException">The tensor does not have the shape [B].</exception>
    public LossTerms(Tensor loss) => Add(LossName, loss);

    /// <summary>[B] the term that is minimised.</summary>
    /// <exception cref="ObjectDisposedException">The terms were disposed.</exception>
    public Tensor Loss => _terms.TryGetValue(LossName, out var loss) ? loss : throw new ObjectDisposedException(nameof(LossTerms));

    /// <summary>The names of the terms, in ordinal order.</summary>
    public IEnumerable<string> Names => _terms.Keys;

    /// <summary>[B] the values of the term with the given name.</summary>
    /// <exception cref="KeyNotFoundException">There is no term with this name.</exception>
    public Tensor this[string name] => _terms.TryGetValue(name, out var term)
        ? term
        : throw new KeyNotFoundException($"There is no loss term '{name}'; there are: {string.Join(", ", _terms.Keys)}.");

    /// <summary>Adds a term.</summary>
    /// <param name="name">The name of the term, which must not be in use.</param>
    /// <param name="values">[B] the values. Ownership of the tensor passes to this object.</param>
    /// <returns>This object.</returns>
    /// <exception cref="ArgumentException">The name is already in use, or the tensor does not have the shape [B].</exception>
    public LossTerms Add(string name, Tensor values)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        Guard.Shape(values, [_terms.Count == 0 ? -1 : Loss.shape[0]]);
        if (!_terms.TryAdd(name, values))
            throw new ArgumentException($"There is already a loss term '{name}'.", nameof(name));
        return this;
    }

    /// <summary>Gets the term with the given name, if there is one.</summary>
    public bool TryGet(string name, [NotNullWhen(true)] out Tensor? values) => _terms.TryGetValue(name, out values);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var term in _terms.Values)
            term.Dispose();
        _terms.Clear();
    }
}
