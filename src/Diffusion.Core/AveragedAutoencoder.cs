using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core;

/// <summary>An autoencoder with its averaged weights.</summary>
internal sealed class AveragedAutoencoder(ITrainableAutoencoder model, AveragedWeights weights) : IAutoencoder
{
    /// <inheritdoc/>
    public LatentScaling? Scaling => model.Scaling;

    /// <inheritdoc/>
    public Device? Device => weights.Device;

    /// <inheritdoc/>
    public ILatentDistribution Encode(Tensor x) => weights.Use(() => model.Encode(x));

    /// <inheritdoc/>
    public Tensor Decode(Tensor z) => weights.Use(() => model.Decode(z));

    /// <inheritdoc cref="AveragedWeights.BeginInference"/>
    public IDisposable BeginInference() => weights.BeginInference();
}
