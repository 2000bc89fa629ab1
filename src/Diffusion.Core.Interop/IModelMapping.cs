using static TorchSharp.torch;

namespace Diffusion.Core.Interop;

/// <summary>How one class of networks of diffusers, or of transformers, becomes one of this library, and back.</summary>
/// <remarks>State-dict names are the same on both sides, except for what <see cref="Rename"/> changes.</remarks>
public interface IModelMapping
{
    /// <summary>The class there, such as <c>UNet2DModel</c>.</summary>
    string ClassName { get; }

    /// <summary>The library of the class, as pipelines name it.</summary>
    string Library => "diffusers";

    /// <summary>The name of the weights, before <c>.safetensors</c>.</summary>
    string WeightsName => "diffusion_pytorch_model";

    /// <summary>A new network, with fresh weights, on the CPU, in float32.</summary>
    /// <param name="config">The configuration. What is not asked for is reported to the user as unknown.</param>
    /// <exception cref="NotSupportedException">A setting asks for something that is not supported; the message names it and its value.</exception>
    /// <exception cref="InvalidDataException">A setting has the wrong type.</exception>
    /// <exception cref="ArgumentException">The settings do not fit together.</exception>
    nn.Module Create(ModelConfig config);

    /// <summary>The configuration that <see cref="Create"/> makes the network from; null for a network of another kind.</summary>
    /// <exception cref="NotSupportedException">The other side has no such network; the message names the option.</exception>
    ModelConfig? Describe(nn.Module network);

    /// <summary>The name, in the state dict of the network, of a tensor of a file; null to leave it out.</summary>
    /// <param name="name">As it is in the file: files of older versions have older names.</param>
    string? Rename(string name) => OldNames.Attention(name);
}
