using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The vector-quantized autoencoder of latent diffusion (VQ-VAE, the generator of VQGAN).</summary>
/// <remarks>
/// Source: van den Oord et al. 2017; Esser et al. 2021; Rombach et al. 2022, appendix G. Latents are the output of the encoder; they are
/// quantized before decoding. State, as in diffusers: <c>encoder</c>, <c>quant_conv</c>, <c>quantize</c>, <c>post_quant_conv</c>,
/// <c>decoder</c>.
/// </remarks>
public sealed class VQModel : AutoencodingNetwork, IQuantizedAutoencoder
{
    private readonly ImageEncoder _encoder;
    private readonly Conv2d _quantConvolution;
    private readonly Conv2d _postQuantConvolution;
    private readonly ImageDecoder _decoder;

    /// <summary>Creates a network with random weights from the default generator, on the CPU, in float32.</summary>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    public VQModel(VQModelOptions options)
        : base(nameof(VQModel))
    {
        ArgumentNullException.ThrowIfNull(options);
        Options = options;
        Scaling = new LatentScaling(options.ScalingFactor);
        var channels = options.Body.LatentChannels;
        var width = options.CodeWidth ?? channels;
        if (options.SpatialNorm && width != channels)
            throw new ArgumentException(
                Invariant($"Spatial norms need a code width equal to the {channels} latent channels, got {width}."), nameof(options));
        register_module("encoder", _encoder = new ImageEncoder(options.Body));
        register_module("quant_conv", _quantConvolution = Layers.Conv2d(channels, Guard.Positive(width), 1L));
        Quantizer = new VectorQuantizer(new VectorQuantizerOptions
        {
            Codes = options.Codes,
            Width = width,
            Beta = options.Beta,
            LegacyBeta = options.LegacyBeta,
            AverageDecay = options.AverageDecay,
        });
        register_module("quantize", Quantizer);
        register_module("post_quant_conv", _postQuantConvolution = Layers.Conv2d(width, channels, 1L));
        register_module("decoder", _decoder = new ImageDecoder(options.Body, spatialNorm: options.SpatialNorm));
    }

    /// <summary>The architecture.</summary>
    public VQModelOptions Options { get; }

    /// <summary>The codebook.</summary>
    public VectorQuantizer Quantizer { get; }

    /// <inheritdoc/>
    public override LatentScaling Scaling { get; }

    /// <summary>Encodes images as latents that are not yet quantized.</summary>
    /// <param name="x">[B, channels, H, W] images, each side at least f.</param>
    /// <returns>Latents, [B, D, H / f, W / f]. The caller must dispose the object.</returns>
    /// <inheritdoc cref="AutoencodingNetwork.Encode" path="/exception"/>
    public override LatentPoint Encode(Tensor x)
    {
        using var encoded = _encoder.call(x);
        using var latent = _quantConvolution.call(encoded);
        return new LatentPoint(latent);
    }

    /// <inheritdoc/>
    public Quantization Quantize(Tensor z) => Quantizer.Quantize(z);

    /// <summary>Quantizes latents and decodes them to images.</summary>
    /// <param name="z">[B, D, h, w] latents.</param>
    /// <returns>[B, channels, f h, f w]. The caller must dispose the tensor.</returns>
    /// <inheritdoc cref="AutoencodingNetwork.Decode" path="/exception"/>
    public override Tensor Decode(Tensor z)
    {
        using var codes = Quantize(z);
        return DecodeQuantized(codes.Quantized);
    }

    /// <summary>Decodes latents without quantizing them.</summary>
    /// <param name="z">
    /// [B, D, h, w] latents; or, with <see cref="VQModelOptions.LookupFromCodebook"/>, [B, h, w] int64 indices of vectors of the codebook.
    /// </param>
    /// <returns>[B, channels, f h, f w]. The caller must dispose the returned tensor.</returns>
    /// <inheritdoc cref="AutoencodingNetwork.Decode" path="/exception"/>
    public Tensor DecodeWithoutQuantization(Tensor z) => Options.LookupFromCodebook ? DecodeIndices(z) : DecodeQuantized(z);

    /// <summary>Decodes indices of vectors of the codebook to images.</summary>
    /// <param name="indices">[B, h, w] int64 in 0..K-1.</param>
    /// <returns>[B, channels, f h, f w]. The caller must dispose the tensor.</returns>
    /// <inheritdoc cref="AutoencodingNetwork.Decode" path="/exception"/>
    public Tensor DecodeIndices(Tensor indices)
    {
        Guard.Shape(indices, [-1, -1, -1]);
        using var codes = Quantizer.Lookup(indices);
        return DecodeQuantized(codes);
    }

    /// <inheritdoc/>
    public Tensor DecodeQuantized(Tensor quantized)
    {
        Guard.Shape(quantized, [-1, Quantizer.Options.Width, -1, -1]);
        Guard.SameType(_postQuantConvolution.weight, quantized);
        using var code = _postQuantConvolution.call(quantized);
        return Options.SpatialNorm ? _decoder.forward(code, quantized) : _decoder.call(code);
    }
}

/// <summary>The architecture of a <see cref="VQModel"/>, and the scaling of the latents that are passed to denoisers.</summary>
public sealed record VQModelOptions
{
    /// <summary>The encoder and the decoder. The default has 3 latent channels.</summary>
    public ConvolutionalBody Body { get; init; } = new() { LatentChannels = 3 };

    /// <summary>K, the number of vectors in the codebook. The default is 256.</summary>
    public int Codes { get; init; } = 256;

    /// <summary>D, the width of each vector. The default is <see langword="null"/>: the number of latent channels.</summary>
    public int? CodeWidth { get; init; }

    /// <summary>
    /// Whether the norms of the decoder are conditioned on the code. If they are, D must be the number of latent channels. The default is
    /// <see langword="false"/>.
    /// </summary>
    public bool SpatialNorm { get; init; }

    /// <summary>
    /// Whether <see cref="VQModel.DecodeWithoutQuantization"/> receives indices of vectors of the codebook instead of latents. The default
    /// is <see langword="false"/>.
    /// </summary>
    public bool LookupFromCodebook { get; init; }

    /// <summary>The factor by which latents are multiplied for the denoiser. The default is 0.18215.</summary>
    public double ScalingFactor { get; init; } = 0.18215;

    /// <summary>beta, a weight in the loss of the codebook; see <see cref="LegacyBeta"/>. The default is 0.25.</summary>
    public double Beta { get; init; } = 0.25;

    /// <inheritdoc cref="VectorQuantizerOptions.LegacyBeta"/>
    public bool LegacyBeta { get; init; } = true;

    /// <inheritdoc cref="VectorQuantizerOptions.AverageDecay"/>
    public double? AverageDecay { get; init; }
}
