using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>Encoders and decoders of linear layers: the code is a vector, [B, C].</summary>
public sealed record MlpBody : IAutoencoderBody
{
    /// <summary>The shape of one sample, such as [1, 28, 28].</summary>
    public required IReadOnlyList<long> SampleShape { get; init; }

    /// <summary>
    /// The widths of the hidden layers of the encoder, from the data inwards; the decoder has them in reverse. [400] by default.
    /// </summary>
    public IReadOnlyList<int> Hidden { get; init; } = [400];

    /// <summary>C, the number of features of the code. 20 by default.</summary>
    public int LatentFeatures { get; init; } = 20;

    /// <summary>The nonlinearity. <see cref="Models.Activation.Relu"/> by default.</summary>
    public IActivation Activation { get; init; } = Models.Activation.Relu;

    /// <inheritdoc/>
    public nn.Module<Tensor, Tensor> Encoder(int outputsPerFeature)
        => new Mlp(SampleShape, Hidden, [Guard.Positive(outputsPerFeature) * Guard.Positive(LatentFeatures)], Activation);

    /// <inheritdoc/>
    public nn.Module<Tensor, Tensor> Decoder(int outputsPerValue)
    {
        ArgumentNullException.ThrowIfNull(SampleShape);
        Guard.Positive(outputsPerValue);
        long[] outputs = [.. SampleShape.Select((size, dimension) => dimension == 0 ? outputsPerValue * size : size)];
        return new Mlp([Guard.Positive(LatentFeatures)], [.. Hidden.Reverse()], outputs, Activation);
    }
}
