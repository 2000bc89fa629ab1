using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>A denoiser with its averaged weights, for samplers.</summary>
internal sealed class AveragedDenoiser(ITrainableDenoiser model, AveragedWeights weights) : IDenoiser
{
    /// <inheritdoc/>
    public Device? Device => weights.Device;

    /// <inheritdoc/>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null) => weights.Use(() => model.Predict(xt, t, condition));

    /// <inheritdoc cref="AveragedWeights.BeginInference"/>
    public IDisposable BeginInference() => weights.BeginInference();
}
