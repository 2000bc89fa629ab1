using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>The norm of each token over its width; see <see cref="Normalization"/>.</summary>
/// <remarks>Source: Ba et al. 2016. Input: [..., width].</remarks>
public sealed class LayerNormalization : Normalization
{
    private readonly long[] _shape;
    private readonly double _epsilon;

    /// <summary>A norm of given width.</summary>
    /// <param name="width">The last size of the input.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="scales">False for a norm without scale and shift.</param>
    /// <exception cref="ArgumentException">The width is not positive.</exception>
    public LayerNormalization(int width, double epsilon = 1e-5, bool scales = true)
        : base(nameof(LayerNormalization), Guard.Positive(width), scales)
        => (_shape, _epsilon) = ([width], Guard.Positive(epsilon));

    private protected override Tensor Normalize(Tensor input, Tensor? weight, Tensor? bias)
        => nn.functional.layer_norm(input, _shape, weight, bias, _epsilon);
}
