using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>An autoencoder with averaged weights.</summary>
internal sealed class AveragedAutoencoder(ITrainableAutoencoder model, AveragedWeights weights, int average) : IAutoencoder
{
    /// <inheritdoc/>
    public LatentScaling? Scaling => model.Scaling;

    /// <inheritdoc/>
    public Device? Device => weights.Device;

    /// <inheritdoc/>
    public ILatentDistribution Encode(Tensor x) => weights.Use(average, () => model.Encode(x));

    /// <inheritdoc/>
    public Tensor Decode(Tensor z) => weights.Use(average, () => model.Decode(z));

    /// <inheritdoc cref="AveragedWeights.BeginInference"/>
    public IDisposable BeginInference() => weights.BeginInference(average);
}
