using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// Embeds times as sines and cosines of random frequencies, drawn once from N(0, scale^2). The frequencies are not trained.
/// </summary>
/// <remarks>
/// Source: Tancik et al. 2020, eq. 5, applied to t as in Song et al. 2021, appendix C. State: <c>weight</c>, a buffer, [width / 2].
/// </remarks>
public sealed class FourierEmbedding : NamedModule<Tensor, Tensor>
{
    private const string WeightName = "weight";

    private readonly bool _logarithm;
    private readonly bool _flipSinToCos;

    /// <summary>Creates an embedding of a given width.</summary>
    /// <param name="width">The width of the output, an even number of at least 2.</param>
    /// <param name="scale">The standard deviation of the frequencies, in cycles.</param>
    /// <param name="logarithm">True to encode log t, for times that are noise levels.</param>
    /// <param name="flipSinToCos">The order: [cos, sin] when true, [sin, cos] when false.</param>
    /// <exception cref="ArgumentException">The width is not an even number of at least 2, or the scale is not positive.</exception>
    public FourierEmbedding(int width, double scale = 16, bool logarithm = true, bool flipSinToCos = false)
        : base(nameof(FourierEmbedding))
    {
        if (width < 2 || width % 2 != 0)
            throw new ArgumentException($"The width of a Fourier embedding must be an even number from 2, got {width}.", nameof(width));
        (_logarithm, _flipSinToCos) = (logarithm, flipSinToCos);
        using var frequencies = randn([width / 2], dtype: ScalarType.Float32);
        register_buffer(WeightName, frequencies.Mul(Guard.Positive(scale)).DetachFromDisposeScope());
    }

    /// <summary>Embeds each time.</summary>
    /// <param name="input">t, [B], integer or floating point, on any device; greater than 0 if its logarithm is encoded.</param>
    /// <returns>[B, width] in the type and on the device of the frequencies. The caller must dispose the tensor.</returns>
    public override Tensor forward(Tensor input)
    {
        Guard.Shape(input, [-1]);
        using var scope = NewDisposeScope();
        var frequencies = get_buffer(WeightName)!;
        var t = input.to(frequencies.dtype, frequencies.device);
        var angles = (_logarithm ? t.log() : t).unsqueeze(1).mul(frequencies).Mul(2 * Math.PI);
        var (sin, cos) = (angles.sin(), angles.cos());
        return cat(_flipSinToCos ? [cos, sin] : [sin, cos], 1).MoveToOuterDisposeScope();
    }
}
