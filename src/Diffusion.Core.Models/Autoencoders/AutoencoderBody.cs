using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>An architecture of encoders and decoders. Implement it for a custom architecture.</summary>
public interface IAutoencoderBody
{
    /// <summary>Creates an encoder.</summary>
    /// <param name="outputsPerFeature">
    /// k, the number of outputs for each feature of the code: 1 for the code itself, 2 for the mean and the log variance of the code.
    /// </param>
    /// <returns>A module that maps data, [B, ...], to [B, k C, ...]. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    nn.Module<Tensor, Tensor> Encoder(int outputsPerFeature);

    /// <summary>Creates a decoder.</summary>
    /// <param name="outputsPerValue">k, the number of outputs for each value of the data: 1, or 2 for a mean and a log variance.</param>
    /// <returns>A module that maps codes, [B, C, ...], to data with k times the channels. The caller must dispose it.</returns>
    /// <exception cref="ArgumentException">The options are inconsistent.</exception>
    nn.Module<Tensor, Tensor> Decoder(int outputsPerValue);
}

/// <summary>Encoders and decoders that are multilayer perceptrons. The code is a vector, [B, C].</summary>
public sealed record MlpBody : IAutoencoderBody
{
    /// <summary>The shape of one sample, such as [1, 28, 28].</summary>
    public required IReadOnlyList<long> SampleShape { get; init; }

    /// <summary>
    /// The widths of the hidden layers of the encoder, from data to code; the decoder has them in reverse order. The default is [400].
    /// </summary>
    public IReadOnlyList<int> Hidden { get; init; } = [400];

    /// <summary>C, the number of features of the code. The default is 20.</summary>
    public int LatentFeatures { get; init; } = 20;

    /// <summary>The activation. The default is <see cref="Activation.Relu"/>.</summary>
    public Activation Activation { get; init; } = Activation.Relu;

    /// <inheritdoc/>
    public nn.Module<Tensor, Tensor> Encoder(int outputsPerFeature)
        => new Mlp(SampleShape, Hidden, [Layers.Size(Guard.Positive(outputsPerFeature), Guard.Positive(LatentFeatures))], Activation);

    /// <inheritdoc/>
    public nn.Module<Tensor, Tensor> Decoder(int outputsPerValue)
    {
        ArgumentNullException.ThrowIfNull(SampleShape);
        Guard.Positive(outputsPerValue);
        long[] outputs = [.. SampleShape.Select((size, dimension) => dimension == 0 ? outputsPerValue * size : size)];
        return new Mlp([Guard.Positive(LatentFeatures)], [.. Hidden.Reverse()], outputs, Activation);
    }
}

/// <summary>Convolutional encoders and decoders of images. The code is a smaller image, [B, C, H / f, W / f].</summary>
/// <remarks>Source: Esser et al. 2021, table 7; Rombach et al. 2022, appendix G.1. The networks are those of diffusers.</remarks>
public sealed record ConvolutionalBody : IAutoencoderBody
{
    /// <summary>The number of channels of the images. The default is 3.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>The number of channels of the decoder's output. The default is <see langword="null"/>: that of the images.</summary>
    public int? OutChannels { get; init; }

    /// <summary>
    /// The number of channels of each level, from full resolution down. Every level except the last halves the resolution, so that f is
    /// 2^(levels - 1). The default is [64].
    /// </summary>
    public IReadOnlyList<int> Widths { get; init; } = [64];

    /// <summary>
    /// The number of residual blocks of each level of the encoder; each level of the decoder has one more. 0 is allowed if all widths are
    /// equal. The default is 1.
    /// </summary>
    public int LayersPerBlock { get; init; } = 1;

    /// <summary>C, the number of channels of the code. The default is 4.</summary>
    public int LatentChannels { get; init; } = 4;

    /// <summary>The number of groups of the group norms, which must divide every width. The default is 32.</summary>
    public int Groups { get; init; } = 32;

    /// <summary>
    /// Whether there is self-attention between the two residual blocks of the middle stage. The default is <see langword="true"/>.
    /// </summary>
    public bool MiddleAttention { get; init; } = true;

    /// <summary>
    /// The levels of the encoder with self-attention after each residual block. Level 0 has the full resolution. The default is none.
    /// </summary>
    public IReadOnlyList<int> EncoderAttentionLevels { get; init; } = [];

    /// <summary>
    /// The levels of the decoder with self-attention after each residual block. Level 0 has the full resolution. The default is none.
    /// </summary>
    public IReadOnlyList<int> DecoderAttentionLevels { get; init; } = [];

    /// <summary>The activation of the residual blocks. The default is <see cref="Activation.Silu"/>.</summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>f, the factor by which the code is smaller than the image in each direction.</summary>
    public int Reduction => 1 << (Widths.Count - 1);

    /// <inheritdoc/>
    public nn.Module<Tensor, Tensor> Encoder(int outputsPerFeature) => new ImageEncoder(this, outputsPerFeature);

    /// <inheritdoc/>
    public nn.Module<Tensor, Tensor> Decoder(int outputsPerValue) => new ImageDecoder(this, outputsPerValue);

    /// <summary>Throws if the options are inconsistent.</summary>
    /// <exception cref="ArgumentException">An option is out of range or inconsistent with another.</exception>
    internal void Validate()
    {
        Guard.Positive(Channels);
        Guard.Positive(OutChannels ?? 1, nameof(OutChannels));
        Guard.InRange(LayersPerBlock, 0, int.MaxValue);
        Guard.Positive(LatentChannels);
        Guard.Positive(Groups);
        ArgumentNullException.ThrowIfNull(Activation);
        ArgumentNullException.ThrowIfNull(Widths);
        Guard.InRange(Widths.Count, 1, 16, $"{nameof(Widths)}.Count");
        foreach (var width in Widths)
        {
            if (width < 1 || width % Groups != 0)
                throw new ArgumentException(
                    Invariant($"{nameof(Widths)} must be multiples of the {Groups} groups, got {width}."), nameof(Widths));
        }

        if (LayersPerBlock == 0 && Widths.Distinct().Count() > 1)
            throw new ArgumentException(
                Invariant($"{nameof(LayersPerBlock)} must be at least 1 if {nameof(Widths)} differ, got 0 for ")
                + Invariant($"{string.Join(", ", Widths)}."),
                nameof(LayersPerBlock));
        foreach (var level in EncoderAttentionLevels.Concat(DecoderAttentionLevels))
            Guard.InRange(level, 0, Widths.Count - 1, "attention level");
    }
}
