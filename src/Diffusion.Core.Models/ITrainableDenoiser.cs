using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A denoiser whose weights a trainer can see.</summary>
public interface ITrainableDenoiser : IDenoiser
{
    /// <summary>The module that owns the parameters and buffers.</summary>
    nn.Module Module { get; }

    /// <summary>The device of the parameters; null for a module without any.</summary>
    Device? IDenoiser.Device => Module.parameters().FirstOrDefault()?.device;
}
