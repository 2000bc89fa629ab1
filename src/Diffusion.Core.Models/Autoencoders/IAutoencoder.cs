using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A network that gives data a code and makes data of a code: what latent diffusion stands on.</summary>
public interface IAutoencoder
{
    /// <summary>The code of data.</summary>
    /// <param name="x">[B, ...] data.</param>
    /// <returns>A distribution over latents [B, C, ...]; the caller's to dispose.</returns>
    ILatentDistribution Encode(Tensor x);

    /// <summary>The data of a code.</summary>
    /// <param name="z">[B, C, ...] latents, as the encoder gives them.</param>
    /// <returns>[B, ...] what the reconstruction loss wants: data, logits, or the moments of data; the caller's.</returns>
    Tensor Decode(Tensor z);

    /// <summary>The scale and shift at which denoisers see the latents, where the autoencoder was published with one.</summary>
    LatentScaling? Scaling => null;

    /// <summary>Where the autoencoder wants its inputs; null when it takes them anywhere.</summary>
    Device? Device => null;

    /// <summary>Readies the autoencoder for inference until the returned scope is disposed; null when there is nothing to do.</summary>
    IDisposable? BeginInference() => null;
}

/// <summary>An autoencoder whose weights a trainer can see.</summary>
public interface ITrainableAutoencoder : IAutoencoder
{
    /// <summary>The module that owns the parameters and buffers.</summary>
    nn.Module Module { get; }

    /// <summary>The device of the parameters; null for a module without any.</summary>
    Device? IAutoencoder.Device => Module.parameters().FirstOrDefault()?.device;
}

/// <summary>An autoencoder whose decoder sees vectors of a codebook in place of the encoder's latents.</summary>
public interface IQuantizedAutoencoder : IAutoencoder
{
    /// <summary>The vectors of the codebook that stand for latents.</summary>
    /// <param name="z">[B, D, ...] latents, as the encoder gives them.</param>
    /// <returns>The caller's to dispose.</returns>
    Quantization Quantize(Tensor z);

    /// <summary>The data of vectors that are taken as they are.</summary>
    /// <param name="quantized">[B, D, ...].</param>
    /// <returns>[B, ...]; the caller's.</returns>
    Tensor DecodeQuantized(Tensor quantized);
}

/// <summary>What an encoder says of the code of a batch: a distribution over latents, or one point. Owns its tensors.</summary>
public interface ILatentDistribution : IDisposable
{
    /// <summary>[B, C, ...] the likeliest latent; the distribution's own.</summary>
    Tensor Mode { get; }

    /// <summary>A latent drawn from the distribution, with gradients to its parameters.</summary>
    /// <param name="generator">Where the draw comes from, on any device; null for the default generator.</param>
    /// <returns>The shape of <see cref="Mode"/>; the caller's.</returns>
    Tensor Sample(Generator? generator = null);

    /// <summary>The latent that a draw of standard normals stands for, with gradients to the parameters of the distribution.</summary>
    /// <param name="noise">The shape, type and device of <see cref="Mode"/>.</param>
    /// <returns>The shape of <see cref="Mode"/>; the caller's.</returns>
    /// <exception cref="ArgumentException">The noise does not fit.</exception>
    Tensor Sample(Tensor noise);
}

/// <summary>The base of this library's autoencoders. Called as a module, it reconstructs.</summary>
/// <param name="name">The name of the module.</param>
public abstract class AutoencodingNetwork(string name) : nn.Module<Tensor, Tensor>(name), ITrainableAutoencoder
{
    nn.Module ITrainableAutoencoder.Module => this;

    /// <inheritdoc/>
    public virtual LatentScaling? Scaling => null;

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The shape or type does not fit; the message names what was expected.</exception>
    public abstract ILatentDistribution Encode(Tensor x);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The shape or type does not fit; the message names what was expected.</exception>
    public abstract Tensor Decode(Tensor z);

    /// <summary>The reconstruction from the mode of the code.</summary>
    /// <param name="input">[B, ...] data.</param>
    /// <returns>[B, ...] what <see cref="Decode"/> makes of it; the caller's.</returns>
    public override Tensor forward(Tensor input)
    {
        using var code = Encode(input);
        return Decode(code.Mode);
    }

    /// <inheritdoc/>
    public IDisposable? BeginInference() => new EvaluationMode(this);

    /// <inheritdoc/>
    protected override void RegisterComponents()
    {
        // Networks register their parts by name in the constructor.
    }
}
