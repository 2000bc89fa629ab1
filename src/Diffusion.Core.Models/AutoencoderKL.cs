using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The variational autoencoder of latent diffusion: images to Gaussians over smaller images, and back.</summary>
/// <remarks>
/// <para>Source: Rombach et al. 2022, section 3.1 and appendix G. State, as in diffusers: <c>encoder</c>, <c>decoder</c>,
/// <c>quant_conv</c>, <c>post_quant_conv</c>.</para>
/// <para>That of Stable Diffusion 1 and 2 has widths 128, 256, 512, 512, two layers a block and 4 latent channels: 83,653,863
/// parameters.</para>
/// </remarks>
public sealed class AutoencoderKL : AutoencodingNetwork
{
    private readonly ImageEncoder _encoder;
    private readonly ImageDecoder _decoder;
    private readonly Conv2d? _quantConvolution;
    private readonly Conv2d? _postQuantConvolution;

    /// <summary>A network with fresh weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options do not fit each other.</exception>
    public AutoencoderKL(AutoencoderKLOptions options)
        : base(nameof(AutoencoderKL))
    {
        ArgumentNullException.ThrowIfNull(options);
        Options = options;
        Scaling = options.Scaling();
        var channels = options.Body.LatentChannels;
        register_module("encoder", _encoder = new ImageEncoder(options.Body, 2));
        register_module("decoder", _decoder = new ImageDecoder(options.Body));
        if (options.QuantConvolution)
            register_module("quant_conv", _quantConvolution = Layers.Conv2d(2 * channels, 2 * channels, 1L));
        if (options.PostQuantConvolution)
            register_module("post_quant_conv", _postQuantConvolution = Layers.Conv2d(channels, channels, 1L));
    }

    /// <summary>The architecture.</summary>
    public AutoencoderKLOptions Options { get; }

    /// <inheritdoc/>
    public override LatentScaling Scaling { get; }

    /// <summary>q(z | x).</summary>
    /// <param name="x">[B, channels, H, W] images, each side at least f.</param>
    /// <returns>Over latents [B, C, H / f, W / f]; the caller's to dispose.</returns>
    /// <inheritdoc cref="AutoencodingNetwork.Encode" path="/exception"/>
    public override DiagonalGaussian Encode(Tensor x)
    {
        using var moments = Moments(x);
        return DiagonalGaussian.FromMoments(moments);
    }

    /// <summary>The mean and the log variance, before it is clamped, of q(z | x).</summary>
    /// <param name="x">[B, channels, H, W] images, each side at least f.</param>
    /// <returns>[B, 2C, H / f, W / f]; the caller's.</returns>
    /// <inheritdoc cref="AutoencodingNetwork.Encode" path="/exception"/>
    public Tensor Moments(Tensor x)
    {
        var encoded = _encoder.call(x);
        if (_quantConvolution is null)
            return encoded;
        using (encoded)
            return _quantConvolution.call(encoded);
    }

    /// <inheritdoc/>
    public override Tensor Decode(Tensor z)
    {
        if (_postQuantConvolution is null)
            return _decoder.call(z);
        Guard.Shape(z, [-1, Options.Body.LatentChannels, -1, -1]);
        Guard.SameType(_postQuantConvolution.weight, z);
        using var code = _postQuantConvolution.call(z);
        return _decoder.call(code);
    }
}
