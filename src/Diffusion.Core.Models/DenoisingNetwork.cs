using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The base of this library's networks: from x_t, t and a condition to a prediction. Each takes of the condition what it was built for and
/// does not look at the rest, so that a network without classes trains on labelled data as it is.
/// </summary>
/// <param name="name">The name of the module.</param>
public abstract class DenoisingNetwork(string name) : nn.Module<Tensor, Tensor, Condition?, Tensor>(name), ITrainableDenoiser
{
    nn.Module ITrainableDenoiser.Module => this;

    /// <summary>The same as <see cref="nn.Module{T1, T2, T3, TResult}.forward"/>.</summary>
    /// <param name="xt">[B, ...] noisy data, of the type and on the device of the weights.</param>
    /// <param name="t">[B] int64 or floating point times, the unit of which is one step: 0..T-1 for a discrete schedule.</param>
    /// <param name="condition">What the network was built to be told, for each sample, on the device of the weights; else null.</param>
    /// <returns>[B, ...]; the caller's.</returns>
    /// <exception cref="ArgumentException">A shape, type, device or label does not fit; the message names what was expected.</exception>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => call(xt, t, condition);

    /// <inheritdoc/>
    public IDisposable? BeginInference() => new EvaluationMode(this);

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Networks register their parts by name in the constructor.
    }
}
