using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A network as samplers and losses see it: from x_t, t and a condition to a prediction. What the prediction means (eps, x_0, v) is
/// known to the loss it was trained with and to the sampler, not to the network.
/// </summary>
public interface IDenoiser
{
    /// <summary>The raw output of the network.</summary>
    /// <param name="xt">[B, ...] noisy data.</param>
    /// <param name="t">[B] times of the schedule: int64 indices 0..T-1 for a discrete one, floating point for a continuous one.</param>
    /// <param name="condition">Of the same batch size, or null.</param>
    /// <returns>The shape of <paramref name="xt"/> for the predictions of Ho et al.. The caller must dispose the returned tensor.</returns>
    Tensor Predict(Tensor xt, Tensor t, Condition? condition = null);

    /// <summary>Where the denoiser wants its inputs, and samplers therefore sample; null when it takes them anywhere.</summary>
    Device? Device => null;

    /// <summary>
    /// Readies the denoiser for sampling (evaluation mode, averaged weights) until the returned scope is disposed. Samplers call it once
    /// around their loop; null when there is nothing to do.
    /// </summary>
    IDisposable? BeginInference() => null;
}

/// <summary>A denoiser whose weights a trainer can see.</summary>
public interface ITrainableDenoiser : IDenoiser
{
    /// <summary>The module that owns the parameters and buffers.</summary>
    nn.Module Module { get; }

    /// <summary>The device of the parameters; null for a module without any.</summary>
    Device? IDenoiser.Device => Module.parameters().FirstOrDefault()?.device;
}
