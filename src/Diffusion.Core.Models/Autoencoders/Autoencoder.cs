using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>A deterministic autoencoder, which encodes data as a code and decodes the code.</summary>
/// <remarks>State: <c>encoder</c>, <c>decoder</c>.</remarks>
public sealed class Autoencoder : AutoencodingNetwork
{
    private readonly nn.Module<Tensor, Tensor> _encoder;
    private readonly nn.Module<Tensor, Tensor> _decoder;

    /// <summary>Creates an autoencoder with random weights.</summary>
    /// <param name="body">The architecture of the encoder and the decoder.</param>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public Autoencoder(IAutoencoderBody body)
        : this(Guard.NotNull(body).Encoder(1), body.Decoder(1))
        => Body = body;

    /// <summary>Creates an autoencoder from two custom networks, of which it takes ownership.</summary>
    /// <param name="encoder">Maps data, [B, ...], to codes, [B, C, ...].</param>
    /// <param name="decoder">Maps codes, [B, C, ...], to the input of the reconstruction loss.</param>
    public Autoencoder(nn.Module<Tensor, Tensor> encoder, nn.Module<Tensor, Tensor> decoder)
        : base(nameof(Autoencoder))
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(decoder);
        (_encoder, _decoder) = (encoder, decoder);
        register_module("encoder", encoder);
        register_module("decoder", decoder);
    }

    /// <summary>The architecture; <see langword="null"/> if the autoencoder was created from two networks.</summary>
    public IAutoencoderBody? Body { get; }

    /// <inheritdoc/>
    public override LatentPoint Encode(Tensor x)
    {
        using var code = _encoder.call(x);
        return new LatentPoint(code);
    }

    /// <inheritdoc/>
    public override Tensor Decode(Tensor z) => _decoder.call(z);
}

/// <summary>The description of an <see cref="Autoencoder"/> in files.</summary>
internal sealed record AutoencoderDescription
{
    /// <summary>The architecture.</summary>
    public required IAutoencoderBody Body { get; init; }
}
