using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A variational autoencoder: encoders for the mean and the log variance of q(z | x), a latent <c>z = mu + sigma eps</c>, and a decoder for
/// the parameters of p(x | z).
/// </summary>
/// <remarks>
/// <para>Source: Kingma and Welling 2014. State: <c>encoder</c>, or <c>mean_encoder</c> and <c>log_variance_encoder</c>; <c>decoder</c>.
/// </para>
/// <para>With an <see cref="MlpBody"/> with 784 inputs, one hidden layer of width 400 and a code of width 20, the network has 652,824
/// parameters; with two encoders, it has 966,824.</para>
/// </remarks>
public sealed class Vae : AutoencodingNetwork
{
    private readonly nn.Module<Tensor, Tensor>? _encoder;
    private readonly nn.Module<Tensor, Tensor>? _meanEncoder;
    private readonly nn.Module<Tensor, Tensor>? _logVarianceEncoder;
    private readonly nn.Module<Tensor, Tensor> _decoder;

    /// <summary>Creates a network with random weights.</summary>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public Vae(VaeOptions options)
        : this(
            Guard.NotNull(options).Body.Encoder(options.TwoEncoders ? 1 : 2),
            options.TwoEncoders ? options.Body.Encoder(1) : null,
            options.Body.Decoder(options.OutputsPerValue),
            options.TwoEncoders)
        => Options = options;

    /// <summary>The architecture; <see langword="null"/> if the network was created from custom networks.</summary>
    public VaeOptions? Options { get; }

    /// <inheritdoc/>
    public override LatentScaling? Scaling => Options?.Scaling;

    /// <summary>
    /// Creates a network with one encoder for the mean and the log variance. It takes ownership of the encoder and the decoder.
    /// </summary>
    /// <param name="encoder">
    /// Maps data, [B, ...], to [B, 2C, ...]: the mean in the first half of the channels, the log variance in the second.
    /// </param>
    /// <param name="decoder">Maps latents, [B, C, ...], to the input of the reconstruction loss.</param>
    public Vae(nn.Module<Tensor, Tensor> encoder, nn.Module<Tensor, Tensor> decoder)
        : this(encoder, null, decoder, false)
    {
    }

    /// <summary>
    /// Creates a network with separate encoders for the mean and the log variance. It takes ownership of the encoders and the decoder.
    /// </summary>
    /// <param name="meanEncoder">Maps data, [B, ...], to the mean, [B, C, ...].</param>
    /// <param name="logVarianceEncoder">Maps data, [B, ...], to the log variance, [B, C, ...].</param>
    /// <param name="decoder">Maps latents, [B, C, ...], to the input of the reconstruction loss.</param>
    public Vae(nn.Module<Tensor, Tensor> meanEncoder, nn.Module<Tensor, Tensor> logVarianceEncoder, nn.Module<Tensor, Tensor> decoder)
        : this(meanEncoder, logVarianceEncoder, decoder, true)
    {
    }

    private Vae(nn.Module<Tensor, Tensor> first, nn.Module<Tensor, Tensor>? second, nn.Module<Tensor, Tensor> decoder, bool two)
        : base(nameof(Vae))
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(decoder);
        if (two)
        {
            ArgumentNullException.ThrowIfNull(second);
            register_module("mean_encoder", _meanEncoder = first);
            register_module("log_variance_encoder", _logVarianceEncoder = second);
        }
        else
        {
            register_module("encoder", _encoder = first);
        }

        register_module("decoder", _decoder = decoder);
    }

    /// <summary>Encodes data as q(z | x).</summary>
    /// <inheritdoc cref="AutoencodingNetwork.Encode"/>
    public override DiagonalGaussian Encode(Tensor x)
    {
        if (_encoder is not null)
        {
            using var moments = _encoder.call(x);
            return DiagonalGaussian.FromMoments(moments);
        }

        using var mean = _meanEncoder!.call(x);
        using var logVariance = _logVarianceEncoder!.call(x);
        return new DiagonalGaussian(mean, logVariance);
    }

    /// <inheritdoc/>
    public override Tensor Decode(Tensor z) => _decoder.call(z);
}

/// <summary>The architecture of a <see cref="Vae"/>.</summary>
public sealed record VaeOptions
{
    /// <summary>
    /// The architecture of the encoder and the decoder: an <see cref="MlpBody"/>, a <see cref="ConvolutionalBody"/>, or a custom one.
    /// </summary>
    public required IAutoencoderBody Body { get; init; }

    /// <summary>
    /// <see langword="true"/> for two encoders without shared weights, one for the mean and one for the log variance;
    /// <see langword="false"/> for one encoder with two outputs for each feature of the code. The default is <see langword="false"/>.
    /// </summary>
    public bool TwoEncoders { get; init; }

    /// <summary>
    /// The number of outputs of the decoder for each value of the data, such as 2 for a decoder that predicts a mean and a log variance.
    /// The default is 1.
    /// </summary>
    public int OutputsPerValue { get; init; } = 1;

    /// <summary>The scaling of the latents that are passed to denoisers. The default is <see langword="null"/>: unknown.</summary>
    public LatentScaling? Scaling { get; init; }
}
