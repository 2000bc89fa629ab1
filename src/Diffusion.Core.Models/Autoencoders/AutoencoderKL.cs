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

/// <summary>The architecture of an <see cref="AutoencoderKL"/>, and the scale at which denoisers see its latents.</summary>
public sealed record AutoencoderKLOptions
{
    /// <summary>The encoder and the decoder.</summary>
    public ConvolutionalBody Body { get; init; } = new();

    /// <summary>A 1x1 convolution after the encoder. On by default.</summary>
    public bool QuantConvolution { get; init; } = true;

    /// <summary>A 1x1 convolution before the decoder. On by default.</summary>
    public bool PostQuantConvolution { get; init; } = true;

    /// <summary>What latents are multiplied by for the denoiser. 0.18215 by default, that of Stable Diffusion 1 and 2.</summary>
    public double ScalingFactor { get; init; } = 0.18215;

    /// <summary>What is subtracted from latents before that; 0 by default.</summary>
    public double ShiftFactor { get; init; }

    /// <summary>The mean of each latent channel, subtracted in place of <see cref="ShiftFactor"/>; null for none.</summary>
    public IReadOnlyList<double>? LatentsMean { get; init; }

    /// <summary>
    /// The standard deviation of each latent channel, which divides what <see cref="ScalingFactor"/> multiplies; null for none.
    /// </summary>
    public IReadOnlyList<double>? LatentsStd { get; init; }

    /// <summary>The numbers above as one change of coordinates.</summary>
    /// <exception cref="ArgumentException">There is not one mean and deviation for each channel, or a number is out of range.</exception>
    internal LatentScaling Scaling()
    {
        if (LatentsMean is null && LatentsStd is null)
            return new LatentScaling(ScalingFactor, ShiftFactor);
        var means = LatentsMean ?? [.. Enumerable.Repeat(ShiftFactor, Body.LatentChannels)];
        var stds = LatentsStd ?? [.. Enumerable.Repeat(1.0, Body.LatentChannels)];
        if (means.Count != Body.LatentChannels || stds.Count != Body.LatentChannels)
            throw new ArgumentException(
                $"There must be a mean and a deviation for each of {Body.LatentChannels} latent channels, "
                + $"got {means.Count} and {stds.Count}.",
                nameof(LatentsMean));
        return new LatentScaling([.. stds.Select(std => ScalingFactor / std)], means);
    }
}
