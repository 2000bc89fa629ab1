using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>
/// A loss that is computed on binarized data. For data in [-1, 1], each element is drawn anew at every evaluation: 1 with probability
/// (x + 1) / 2, otherwise 0 (Salakhutdinov and Murray 2008; a new draw at every evaluation: Burda et al. 2016, section 5).
/// </summary>
/// <param name="inner">The loss to compute, for data that is 0 or 1.</param>
public sealed class DynamicBinarization(IAutoencoderLoss inner) : IAutoencoderLoss
{
    private readonly IAutoencoderLoss _inner = inner ?? throw new ArgumentNullException(nameof(inner));

    /// <summary>Draws binarized data.</summary>
    /// <param name="x">[B, ...] the data, in [-1, 1].</param>
    /// <param name="generator">
    /// The generator of the random numbers, on any device. The default is <see langword="null"/>: the default generator of the device
    /// of <paramref name="x"/>.
    /// </param>
    /// <returns>
    /// The binarized data, 0 or 1, with the shape and type of <paramref name="x"/>. The caller must dispose the returned tensor.
    /// </returns>
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
