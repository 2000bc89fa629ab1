using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Tests.Support;

/// <summary>A code that can be told by hand: mean <c>3 x + 1</c>, a given log variance, and the way back.</summary>
internal sealed class AffineAutoencoder(double logVariance = -2.0, LatentScaling? scaling = null) : IAutoencoder
{
    /// <summary>How often the encoder was called.</summary>
    public int Encoded { get; private set; }

    public LatentScaling? Scaling => scaling;

    public ILatentDistribution Encode(Tensor x)
    {
        Encoded++;
        using var tripled = x.mul(3.0);
        using var mean = tripled.add(1.0);
        using var spread = full_like(mean, logVariance);
        return new DiagonalGaussian(mean, spread);
    }

    public Tensor Decode(Tensor z)
    {
        using var shifted = z.sub(1.0);
        return shifted.div(3.0);
    }
}
