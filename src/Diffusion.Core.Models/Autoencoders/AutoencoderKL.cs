using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// The variational autoencoder of latent diffusion. It encodes images as Gaussian distributions over smaller latent images.
/// </summary>
/// <remarks>
/// <para>Source: Rombach et al. 2022, section 3.1 and appendix G. State, as in diffusers: <c>encoder</c>, <c>decoder</c>,
/// <c>quant_conv</c>, <c>post_quant_conv</c>.</para>
/// <para>The autoencoder of Stable Diffusion 1 and 2 has widths 128, 256, 512, 512, two layers per block, 4 latent channels and 83,653,863
/// parameters.</para>
/// </remarks>
public sealed class AutoencoderKL : AutoencodingNetwork
{
    private readonly ImageEncoder _encoder;
    private readonly ImageDecoder _decoder;
    private readonly Conv2d? _quantConvolution;
    private readonly Conv2d? _postQuantConvolution;

    /// <summary>Creates a network with random weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
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
            register_module("quant_conv", _quantConvolution = Layers.Conv2d(2L * channels, 2L * channels, 1L));
        if (options.PostQuantConvolution)
            register_module("post_quant_conv", _postQuantConvolution = Layers.Conv2d(channels, channels, 1L));
    }

    /// <summary>The architecture.</summary>
    public AutoencoderKLOptions Options { get; }

    /// <inheritdoc/>
    public override LatentScaling Scaling { get; }

    /// <summary>Encodes images as q(z | x).</summary>
    /// <param name="x">[B, channels, H, W] images, each side at least f.</param>
    /// <returns>A distribution over latents, [B, C, H / f, W / f]. The caller must dispose it.</returns>
    /// <inheritdoc cref="AutoencodingNetwork.Encode" path="/exception"/>
    public override DiagonalGaussian Encode(Tensor x)
    {
        using var moments = Moments(x);
        return DiagonalGaussian.FromMoments(moments);
    }

    /// <summary>Computes the mean and the log variance of q(z | x), without the clamping of the log variance.</summary>
    /// <param name="x">[B, channels, H, W] images, each side at least f.</param>
    /// <returns>[B, 2C, H / f, W / f]. The caller must dispose the tensor.</returns>
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

/// <summary>The architecture of an <see cref="AutoencoderKL"/>, and the scaling of the latents that are passed to denoisers.</summary>
public sealed record AutoencoderKLOptions
{
    /// <summary>The encoder and the decoder.</summary>
    public ConvolutionalBody Body { get; init; } = new();

    /// <summary>Whether a 1x1 convolution follows the encoder. The default is <see langword="true"/>.</summary>
    public bool QuantConvolution { get; init; } = true;

    /// <summary>Whether a 1x1 convolution precedes the decoder. The default is <see langword="true"/>.</summary>
    public bool PostQuantConvolution { get; init; } = true;

    /// <summary>
    /// The factor by which latents are multiplied for the denoiser. The default is 0.18215, the value of Stable Diffusion 1 and 2.
    /// </summary>
    public double ScalingFactor { get; init; } = 0.18215;

    /// <summary>The value that is subtracted from latents before the multiplication. The default is 0.</summary>
    public double ShiftFactor { get; init; }

    /// <summary>
    /// The mean of each latent channel, subtracted instead of <see cref="ShiftFactor"/>. The default is <see langword="null"/>: none.
    /// </summary>
    public IReadOnlyList<double>? LatentsMean { get; init; }

    /// <summary>
    /// The standard deviation of each latent channel, by which <see cref="ScalingFactor"/> is divided. The default is
    /// <see langword="null"/>: none.
    /// </summary>
    public IReadOnlyList<double>? LatentsStd { get; init; }

    /// <summary>Combines the factors, shifts, means and standard deviations of the options.</summary>
    /// <exception cref="ArgumentException">
    /// The number of means or standard deviations is not the number of latent channels, or a value is out of range.
    /// </exception>
    internal LatentScaling Scaling()
    {
        if (LatentsMean is null && LatentsStd is null)
            return new LatentScaling(ScalingFactor, ShiftFactor);
        var means = LatentsMean ?? [.. Enumerable.Repeat(ShiftFactor, Body.LatentChannels)];
        var stds = LatentsStd ?? [.. Enumerable.Repeat(1.0, Body.LatentChannels)];
        if (means.Count != Body.LatentChannels || stds.Count != Body.LatentChannels)
            throw new ArgumentException(
                Invariant($"There must be a mean and a standard deviation for each of {Body.LatentChannels} latent channels, ")
                + $"got {means.Count} and {stds.Count}.",
                nameof(LatentsMean));
        return new LatentScaling([.. stds.Select(std => ScalingFactor / std)], means);
    }
}
