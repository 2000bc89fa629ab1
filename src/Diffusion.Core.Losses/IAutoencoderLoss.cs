using Diffusion.Core.Models;
using static TorchSharp.torch;

namespace Diffusion.Core.Losses;

/// <summary>A training loss of an autoencoder, evaluated for each sample of a batch.</summary>
public interface IAutoencoderLoss
{
    /// <summary>The loss of an autoencoder on one batch.</summary>
    /// <param name="autoencoder">The network.</param>
    /// <param name="x">[B, ...] data.</param>
    /// <returns>Named values, [B] each; the caller's.</returns>
    /// <exception cref="ArgumentException">The shapes do not fit each other.</exception>
    /// <remarks>Draws come from <see cref="DropoutRandom.Current"/>, which a trainer sets to the generator of its step.</remarks>
    LossTerms Evaluate(IAutoencoder autoencoder, Tensor x);
}
