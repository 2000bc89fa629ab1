using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>An autoencoder without noise: x to a code z and back to x.</summary>
/// <remarks>State: <c>encoder</c>, <c>decoder</c>.</remarks>
public sealed class Autoencoder : AutoencodingNetwork
{
    private readonly nn.Module<Tensor, Tensor> _encoder;
    private readonly nn.Module<Tensor, Tensor> _decoder;

    /// <summary>An autoencoder of an architecture, with fresh weights.</summary>
    /// <exception cref="ArgumentException">The options of the body do not fit each other.</exception>
    public Autoencoder(IAutoencoderBody body)
        : this(Guard.NotNull(body).Encoder(1), body.Decoder(1))
        => Body = body;

    /// <summary>An autoencoder of any two networks; it owns them from here on.</summary>
    /// <param name="encoder">From [B, ...] data to [B, C, ...] codes.</param>
    /// <param name="decoder">From [B, C, ...] codes to what the reconstruction loss wants.</param>
    public Autoencoder(nn.Module<Tensor, Tensor> encoder, nn.Module<Tensor, Tensor> decoder)
        : base(nameof(Autoencoder))
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(decoder);
        (_encoder, _decoder) = (encoder, decoder);
        register_module("encoder", encoder);
        register_module("decoder", decoder);
    }

    /// <summary>The architecture; null where the two networks were given.</summary>
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

/// <summary>What files say of an <see cref="Autoencoder"/>.</summary>
internal sealed record AutoencoderDescription
{
    /// <summary>The architecture.</summary>
    public required IAutoencoderBody Body { get; init; }
}
