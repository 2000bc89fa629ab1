using System.Text.Json.Nodes;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A class of networks as model files know it: by name, and from options to network and back. <see cref="NetworkType"/> makes one from a
/// record of options; implement it where that does not do.
/// </summary>
public interface INetworkType
{
    /// <summary>The name in files, such as <c>UNet</c>.</summary>
    string Name { get; }

    /// <summary>The options of a network of this class; null for a network of another.</summary>
    /// <exception cref="NotSupportedException">An option is one that a file cannot hold, such as a strategy of the user's own.</exception>
    JsonObject? Describe(nn.Module network);

    /// <summary>A new network of these options, with fresh weights, on the CPU, in float32.</summary>
    /// <exception cref="InvalidDataException">An option is unknown, missing, or of the wrong type.</exception>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
    nn.Module Create(JsonObject options);
}
