using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// An autoencoder, which encodes data as latents and decodes latents to data. Latent diffusion models are trained on the latents.
/// </summary>
public interface IAutoencoder
{
    /// <summary>Encodes data.</summary>
    /// <param name="x">[B, ...] data.</param>
    /// <returns>A distribution over latents, [B, C, ...]. The caller must dispose it.</returns>
    ILatentDistribution Encode(Tensor x);

    /// <summary>Decodes latents.</summary>
    /// <param name="z">[B, C, ...] latents, as returned by the encoder.</param>
    /// <returns>
    /// [B, ...] the input of the reconstruction loss: data, logits, or the mean and the log variance of the data. The caller must dispose
    /// the tensor.
    /// </returns>
    Tensor Decode(Tensor z);

    /// <summary>The scaling of the latents that are passed to denoisers; <see langword="null"/> if none is known.</summary>
    LatentScaling? Scaling => null;

    /// <summary>The device on which the autoencoder expects its inputs; <see langword="null"/> for any device.</summary>
    Device? Device => null;

    /// <summary>
    /// Prepares the autoencoder for inference until the returned scope is disposed. Returns <see langword="null"/> if no preparation is
    /// necessary.
    /// </summary>
    IDisposable? BeginInference() => null;
}

/// <summary>An autoencoder whose parameters are accessible to a trainer.</summary>
public interface ITrainableAutoencoder : IAutoencoder
{
    /// <summary>The module that owns the parameters and buffers.</summary>
    nn.Module Module { get; }

    /// <summary>The device of the parameters; <see langword="null"/> for a module without parameters.</summary>
    Device? IAutoencoder.Device => Module.parameters().FirstOrDefault()?.device;
}

/// <summary>An autoencoder whose decoder receives vectors of a codebook instead of the encoder's latents.</summary>
public interface IQuantizedAutoencoder : IAutoencoder
{
    /// <summary>Replaces latents by vectors of the codebook.</summary>
    /// <param name="z">[B, D, ...] latents, as returned by the encoder.</param>
    /// <returns>The codebook vectors, their indices and the loss. The caller must dispose the object.</returns>
    Quantization Quantize(Tensor z);

    /// <summary>Decodes vectors of the codebook.</summary>
    /// <param name="quantized">[B, D, ...] quantized latents.</param>
    /// <returns>[B, ...] the output of the decoder. The caller must dispose the tensor.</returns>
    Tensor DecodeQuantized(Tensor quantized);
}

/// <summary>The output of an encoder for a batch: a distribution over latents, or a single point. The object owns its tensors.</summary>
public interface ILatentDistribution : IDisposable
{
    /// <summary>[B, C, ...] the most probable latent. The distribution owns the tensor.</summary>
    Tensor Mode { get; }

    /// <summary>Draws a latent from the distribution, with gradients to its parameters.</summary>
    /// <param name="generator">
    /// The random number generator, on any device. The default is <see langword="null"/>: the default generator.
    /// </param>
    /// <returns>A tensor with the shape of <see cref="Mode"/>. The caller must dispose the tensor.</returns>
    Tensor Sample(Generator? generator = null);

    /// <summary>Maps standard normal noise to a latent, with gradients to the parameters of the distribution.</summary>
    /// <param name="noise">Standard normal noise, with the shape, type and device of <see cref="Mode"/>.</param>
    /// <returns>A tensor with the shape of <see cref="Mode"/>. The caller must dispose the tensor.</returns>
    /// <exception cref="ArgumentException">The noise does not match <see cref="Mode"/>.</exception>
    Tensor Sample(Tensor noise);
}

/// <summary>The base class of this library's autoencoders. As a module, it returns the reconstruction of its input.</summary>
/// <param name="name">The name of the module.</param>
public abstract class AutoencodingNetwork(string name) : NamedModule<Tensor, Tensor>(name), ITrainableAutoencoder
{
    nn.Module ITrainableAutoencoder.Module => this;

    /// <inheritdoc/>
    public virtual LatentScaling? Scaling => null;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// The shape or type does not match; the message contains the expected and the actual one.
    /// </exception>
    public abstract ILatentDistribution Encode(Tensor x);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">
    /// The shape or type does not match; the message contains the expected and the actual one.
    /// </exception>
    public abstract Tensor Decode(Tensor z);

    /// <summary>Reconstructs data from the mode of its latent distribution.</summary>
    /// <param name="input">[B, ...] data.</param>
    /// <returns>The output of <see cref="Decode"/>. The caller must dispose the tensor.</returns>
    public override Tensor forward(Tensor input)
    {
        using var code = Encode(input);
        return Decode(code.Mode);
    }

    /// <inheritdoc/>
    public IDisposable? BeginInference() => new EvaluationMode(this);
}
