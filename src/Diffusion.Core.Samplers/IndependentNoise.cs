using static TorchSharp.torch;

namespace Diffusion.Core.Samplers;

/// <summary>The draws of another source, each a new one whatever interval it is for.</summary>
/// <param name="source">The other source; not disposed.</param>
internal sealed class IndependentNoise(INoiseSource source) : INoiseSource
{
    /// <inheritdoc/>
    public Tensor Draw(Tensor like) => source.Draw(like);

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
