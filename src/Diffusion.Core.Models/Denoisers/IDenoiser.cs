using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A denoising network: a function of x_t, t and a condition. The type of its prediction (eps, x_0, v) is not a property of the
/// network; it is specified by <see cref="DiffusionModel.Prediction"/>.
/// </summary>
public interface IDenoiser
{
    /// <summary>Computes the raw output of the network.</summary>
    /// <param name="xt">[B, ...] noisy data.</param>
    /// <param name="t">
    /// [B] timesteps: int64 indices 0..T-1 of the discrete schedule that the network was trained with, or floating point for a continuous
    /// schedule and for timesteps between the indices.
    /// </param>
    /// <param name="condition">The condition, with the same batch size, or <see langword="null"/>.</param>
    /// <returns>
    /// A new tensor of the shape of <paramref name="xt"/>, or [B, 2C, ...] if the network learns the variance (see
    /// <see cref="DiffusionModel.LearnsVariance"/>). The caller must dispose the tensor.
    /// </returns>
    Tensor Predict(Tensor xt, Tensor t, Condition? condition = null);

    /// <summary>
    /// The device on which the inputs must be, and on which samplers create their samples. The default is <see langword="null"/>:
    /// inputs can be on any device.
    /// </summary>
    Device? Device => null;

    /// <summary>
    /// Prepares the denoiser for sampling, for example by setting evaluation mode or using averaged weights, until the returned scope is
    /// disposed. Samplers call this method once, before the first step.
    /// </summary>
    /// <returns>
    /// A scope that the caller must dispose. The default is <see langword="null"/>: the denoiser does not need preparation.
    /// </returns>
    IDisposable? BeginInference() => null;
}

/// <summary>A denoiser whose weights can be trained.</summary>
public interface ITrainableDenoiser : IDenoiser
{
    /// <summary>The module that owns the parameters and buffers.</summary>
    nn.Module Module { get; }

    /// <summary>The device of the parameters, or <see langword="null"/> if the module has no parameters.</summary>
    Device? IDenoiser.Device => Module.parameters().FirstOrDefault()?.device;
}
