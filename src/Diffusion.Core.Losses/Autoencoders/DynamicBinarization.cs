using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// Any loss, on data in [-1, 1] that is drawn anew as black and white at each look: 1 with probability (x + 1) / 2, else 0 (Salakhutdinov
/// and Murray 2008; drawn anew: Burda et al. 2016, section 5).
/// </summary>
/// <param name="inner">The loss, of data that is 0 or 1.</param>
public sealed class DynamicBinarization(IAutoencoderLoss inner) : IAutoencoderLoss
{
    private readonly IAutoencoderLoss _inner = inner ?? throw new ArgumentNullException(nameof(inner));

    /// <summary>A draw of black and white data.</summary>
    /// <param name="x">[B, ...] in [-1, 1].</param>
    /// <param name="generator">Where the draw comes from, on any device; null for the default generator.</param>
    /// <returns>The shape and type of <paramref name="x"/>, 0 or 1. The caller must dispose the returned tensor.</returns>
    public static Tensor Draw(Tensor x, Generator? generator = null)
    {
        Guard.Floating(x);
        using var scope = NewDisposeScope();
        var uniform = rand(x.shape, dtype: ScalarType.Float32, device: generator?.device ?? x.device, generator: generator);
        GC.KeepAlive(generator);
        return uniform.Mul(2.0).Sub(1.0).to(x.device).lt(x).to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public LossTerms Evaluate(IAutoencoder autoencoder, Tensor x, Generator? generator = null)
    {
        using var binary = Draw(x, generator);
        return _inner.Evaluate(autoencoder, binary, generator);
    }
}
