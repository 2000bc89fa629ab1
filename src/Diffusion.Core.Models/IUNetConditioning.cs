using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// What a network is told beside time, as options: implement it to tell a network something of your own. The usual ones are in
/// <see cref="UNetConditioning"/>.
/// </summary>
public interface IUNetConditioning
{
    /// <summary>A new embedder.</summary>
    /// <param name="width">The width of the embedding.</param>
    /// <param name="network">The architecture of the whole network.</param>
    /// <param name="timeEncoding">The network's encoding of time, from [B] to [B, D]; the network's to dispose.</param>
    /// <exception cref="ArgumentException">The options do not fit the network.</exception>
    UNetConditioner Build(int width, UNetOptions network, nn.Module<Tensor, Tensor> timeEncoding);
}
