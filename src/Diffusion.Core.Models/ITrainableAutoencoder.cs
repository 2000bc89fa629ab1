using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>An autoencoder whose weights a trainer can see.</summary>
public interface ITrainableAutoencoder : IAutoencoder
{
    /// <summary>The module that owns the parameters and buffers.</summary>
    nn.Module Module { get; }

    /// <summary>The device of the parameters; null for a module without any.</summary>
    Device? IAutoencoder.Device => Module.parameters().FirstOrDefault()?.device;
}
