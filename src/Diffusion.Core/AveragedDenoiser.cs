using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>A denoiser with averaged weights, for samplers.</summary>
internal sealed class AveragedDenoiser(IDenoiser model, AveragedWeights weights, int average) : IDenoiser
{
    /// <inheritdoc/>
    public Device? Device => weights.Device;

    /// <inheritdoc/>
    public Tensor Predict(Tensor xt, Tensor t, Condition? condition = null)
        => weights.Use(average, () => model.Predict(xt, t, condition));

    /// <inheritdoc cref="AveragedWeights.BeginInference"/>
    public IDisposable BeginInference() => weights.BeginInference(average);
}
